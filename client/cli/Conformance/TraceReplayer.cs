using IommuFd.Client;
using IommuFd.Uapi;

namespace IommuFd.Cli.Conformance;

/// <summary>A step that was answered differently from Linux.</summary>
internal sealed record Mismatch(string Group, long Seed, int Step, string Ioctl, string What);

/// <summary>What replaying a sequence found.</summary>
internal sealed record ReplayReport(string Group, IReadOnlyDictionary<uint, int> Ioctls, IReadOnlyList<(uint Command, Mismatch Mismatch)> Mismatches);

// A difference in one step can make all later ones differ, so that a sequence's first mismatch is the one to look at.

/// <summary>Issues a sequence's ioctls and compares errno, return value and every byte of memory with what Linux left.</summary>
internal static class TraceReplayer
{
    public static async Task<ReplayReport> ReplayAsync(IommufdClient client, TraceSequence sequence, CancellationToken cancellationToken)
    {
        var memory = new TraceMemory();
        var contexts = new Dictionary<int, IommuContext>();
        var ioctls = new Dictionary<uint, int>();
        var mismatches = new List<(uint, Mismatch)>();
        try
        {
            contexts.Add(0, await client.OpenAsync("conformance"));
            for (var i = 0; i < sequence.Steps.Count; i++)
            {
                var step = sequence.Steps[i];
                if (step.Open is { } number)
                {
                    contexts.Add(number, await client.OpenAsync("conformance"));
                    continue;
                }

                if (!contexts.TryGetValue(step.Fd, out var context))
                {
                    throw new CliException($"{sequence.Group} seed {sequence.Seed}, step {i}: context {step.Fd} was not opened.");
                }

                ioctls[step.Command] = ioctls.GetValueOrDefault(step.Command) + 1;
                if (await StepAsync(context, memory, step, cancellationToken) is { } what)
                {
                    var argument = $"{IoctlText.Name(step.Command)} {IoctlText.Decode(step.Command, Convert.FromHexString(step.Input))}";
                    mismatches.Add((step.Command, new Mismatch(sequence.Group, sequence.Seed, i, argument, what)));
                }
            }

            await memory.Caller.CloseFilesAsync();
            foreach (var (number, context) in contexts)
            {
                if (await context.CloseAsync() is not { Stuck.Length: 0 } release)
                {
                    mismatches.Add((0, new Mismatch(sequence.Group, sequence.Seed, sequence.Steps.Count, $"close of context {number}", "objects were left")));
                }
            }
        }
        finally
        {
            foreach (var context in contexts.Values)
            {
                await context.DisposeAsync();
            }
        }

        return new ReplayReport(sequence.Group, ioctls, mismatches);
    }

    private static async ValueTask<string?> StepAsync(IommuContext context, TraceMemory memory, TraceStep step, CancellationToken cancellationToken)
    {
        memory.Load(step);
        var address = step.BadPointer == 1 ? TraceMemory.HoleAddress : TraceMemory.ArgsAddress;
        var result = await context.IoctlAsync(step.Command, address, memory.Caller, cancellationToken);
        if (result.Errno != (Errno)step.Errno)
        {
            return $"answered {result.Errno}, Linux {(Errno)step.Errno}{(result.Diagnostic is { } diagnostic ? $" ({diagnostic})" : "")}";
        }

        return result.ReturnValue == step.ReturnValue
            ? memory.FindDifference(step)
            : $"returned {result.ReturnValue}, Linux {step.ReturnValue}";
    }
}
