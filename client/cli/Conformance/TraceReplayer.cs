using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Cli.Conformance;

/// <summary>A step whose answer differs from Linux's.</summary>
internal sealed record Mismatch(string Group, long Seed, int Step, string Ioctl, string What);

/// <summary>The result of replaying a sequence.</summary>
internal sealed record ReplayReport(string Group, ContextMode Mode, IReadOnlyDictionary<uint, int> Ioctls, int FileSteps, IReadOnlyList<(uint Command, Mismatch Mismatch)> Mismatches);

// One difference can make all later steps differ, so look at a sequence's first mismatch.

/// <summary>Issues a sequence's ioctls, reads and writes, and compares errno, return value and every byte of memory with the trace's.</summary>
internal static class TraceReplayer
{
    /// <param name="client">Opens the contexts.</param>
    /// <param name="sequence">The sequence.</param>
    /// <param name="beforeStep">Called before each step, with the context that the step goes to; null for no call.</param>
    /// <param name="cancellationToken">Ends the replay early.</param>
    public static async Task<ReplayReport> ReplayAsync(
        IommufdClient client, TraceSequence sequence, Func<TraceSequence, int, ContextKey, Task>? beforeStep, CancellationToken cancellationToken)
    {
        var memory = new TraceMemory(sequence.Args);
        var contexts = new Dictionary<int, IommuContext>();
        var ioctls = new Dictionary<uint, int>();
        var (mismatches, fileSteps) = (new List<(uint, Mismatch)>(), 0);
        try
        {
            contexts.Add(0, await client.OpenAsync("conformance", cancellationToken: cancellationToken));
            for (var i = 0; i < sequence.Steps.Count; i++)
            {
                var step = sequence.Steps[i];
                if (step.Open is { } number)
                {
                    contexts.Add(number, await client.OpenAsync("conformance", cancellationToken: cancellationToken));
                    continue;
                }

                if (step.IsFileStep)
                {
                    fileSteps++;
                    if (beforeStep is not null && FileOf(memory, step) is { } opened)
                    {
                        await beforeStep(sequence, i, opened.Target.Context);
                    }

                    if (await FileStepAsync(memory, step, cancellationToken) is { } difference)
                    {
                        mismatches.Add((0, new Mismatch(sequence.Group, sequence.Seed, i, Describe(step), difference)));
                    }

                    continue;
                }

                if (!contexts.TryGetValue(step.Fd, out var context))
                {
                    throw new CliException($"{sequence.Group} seed {sequence.Seed}, step {i}: context {step.Fd} was not opened.");
                }

                if (beforeStep is not null)
                {
                    await beforeStep(sequence, i, context.Handle.Key);
                }

                ioctls[step.Command] = ioctls.GetValueOrDefault(step.Command) + 1;
                if (await StepAsync(context, memory, step, cancellationToken) is { } what)
                {
                    var argument = $"{IoctlText.Name(step.Command)} {IoctlText.Decode(step.Command, Convert.FromHexString(step.Input))}";
                    mismatches.Add((step.Command, new Mismatch(sequence.Group, sequence.Seed, i, argument, what)));
                }
            }

            foreach (var (number, what) in await EndAsync(client, memory, contexts))
            {
                mismatches.Add((0, new Mismatch(sequence.Group, sequence.Seed, sequence.Steps.Count, $"the end of context {number}", what)));
            }
        }
        finally
        {
            foreach (var context in contexts.Values)
            {
                await context.DisposeAsync();
            }
        }

        return new ReplayReport(sequence.Group, contexts[0].Mode, ioctls, fileSteps, mismatches);
    }

    // Traces end by closing every descriptor. Checks of what must hold of any state then show whether the sequence left something behind.
    internal static async Task<List<(int Context, string What)>> EndAsync(IommufdClient client, TraceMemory memory, Dictionary<int, IommuContext> contexts)
    {
        var found = new List<(int, string)>();
        foreach (var (number, context) in contexts)
        {
            var graph = await context.InspectGraphAsync();
            var (objects, users) = (graph.Nodes.Count(node => !node.IsDriver), graph.Nodes.Sum(node => node.Users));
            if (users != objects + graph.Edges.Length)
            {
                found.Add((number, $"{objects} objects with {graph.Edges.Length} holds have {users} users"));
            }
        }

        await memory.Caller.CloseFilesAsync();
        foreach (var (number, context) in contexts)
        {
            // What stays is what the HW queues have: each its access, with the pages that it pins.
            var left = await context.InspectAsync(withState: true);
            var (queues, ioases) = (left.Objects.Count(item => item.Object.Type == ObjectType.HwQueue), left.Objects.Select(item => item.State).OfType<IoasState>().ToList());
            var (accesses, pins) = (ioases.Sum(ioas => ioas.Accesses), ioases.Sum(ioas => ioas.Pins));
            if (accesses != queues || pins != queues)
            {
                found.Add((number, $"with every file closed, {accesses} accesses with {pins} pins are left for {queues} HW queues"));
            }

            found.AddRange(left.Objects
                .Where(item => item.State is FaultQueueState { IsOpen: true } or VeventqState { IsOpen: true })
                .Select(item => (number, $"with every file closed, {item.Object} is still open")));
            if (left.References.Length > 1)
            {
                found.Add((number, $"with every file closed, {left.References.Length - 1} references are left"));
            }

            if (await context.CloseAsync() is not { Stuck.Length: 0 } release || release.Destroyed != left.ObjectCount)
            {
                found.Add((number, "objects were left"));
            }

            try
            {
                await client.InspectAsync(context.Handle, new InspectRequest(default, 1, WithState: false));
                found.Add((number, "it is still there after it was closed"));
            }
            catch (IommufdException gone) when (gone.Errno == Errno.EBADF)
            {
            }
        }

        return found;
    }

    private static async ValueTask<string?> StepAsync(IommuContext context, TraceMemory memory, TraceStep step, CancellationToken cancellationToken)
    {
        memory.Load(step);
        var address = step.Argument ?? (step.BadPointer == 1 ? TraceMemory.HoleAddress : TraceMemory.ArgsAddress);
        var result = await context.IoctlAsync(step.Command, address, memory.Caller, cancellationToken);
        if (result.Errno != (Errno)step.Errno)
        {
            return $"answered {result.Errno}, the trace has {(Errno)step.Errno}{(result.Diagnostic is { } diagnostic ? $" ({diagnostic})" : "")}";
        }

        return result.ReturnValue == step.ReturnValue
            ? memory.FindDifference(step)
            : $"returned {result.ReturnValue}, the trace has {step.ReturnValue}";
    }

    private static IommuFile? FileOf(TraceMemory memory, TraceStep step) => memory.Caller.FindOpenedFile((step.Read ?? step.Write ?? step.Poll ?? step.Close)!.Value);

    private static string Describe(TraceStep step) => step switch
    {
        { Read: { } file } => $"read({file}, {step.Length})",
        { Write: { } file } => $"write({file}, {step.Data})",
        { Poll: { } file } => $"poll({file})",
        _ => $"close({step.Close})",
    };

    private static async ValueTask<string?> FileStepAsync(TraceMemory memory, TraceStep step, CancellationToken cancellationToken)
    {
        if (FileOf(memory, step) is not { } file)
        {
            return "no such file was opened";
        }

        if (step.Close is { } closed)
        {
            await memory.Caller.CloseFileAsync(closed);
            return null;
        }

        if (step.Poll is not null)
        {
            var events = await file.PollAsync(cancellationToken: cancellationToken);
            return (ushort)events == step.Revents ? null : $"reported {events}, the trace has {(PollEvents)step.Revents}";
        }

        var buffer = step.Write is null ? new byte[step.Length] : Convert.FromHexString(step.Data);
        var result = step.Write is null ? await file.ReadAsync(buffer, cancellationToken) : await file.WriteAsync(buffer, cancellationToken);
        if (result.Errno != (Errno)step.Errno || result.Count != step.ReturnValue)
        {
            return $"answered {result.Errno} and {result.Count} bytes, the trace has {(Errno)step.Errno} and {step.ReturnValue}{(result.Diagnostic is { } diagnostic ? $" ({diagnostic})" : "")}";
        }

        var read = Convert.ToHexStringLower(buffer.AsSpan(0, result.Count));
        return step.Write is not null || read == step.Data ? null : $"read {read}, the trace has {step.Data}";
    }
}
