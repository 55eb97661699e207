using System.IO.Compression;
using System.Text;
using IommuFd.Cli.Conformance;
using Xunit;

namespace IommuFd.ProgramTests;

/// <summary>What <c>iommufd run --record</c> writes, and that <c>iommufd conformance</c> replays it.</summary>
[Collection(GatewayCollection.Name)]
public sealed class RecordTests(GatewayFixture gateway)
{
    private readonly Dictionary<string, string> _files = [];

    [Theory]
    [InlineData("map")]
    [InlineData("attach")]
    [InlineData("busy")]
    [InlineData("test-queue")]
    [InlineData("test-fork")]
    [InlineData("test-fork-static")]
    [InlineData("test-exec")]
    [InlineData("test-pass")]
    [InlineData("test-threads")]
    public async Task A_recorded_program_replays_without_it(string program)
    {
        var sequence = await RecordAsync(program);

        Assert.True(sequence.Steps.Count > 0, $"{program} left no step.");
        await ExpectReplayAsync(program, FileOf(program), mismatches: 0);
    }

    [Fact]
    public async Task Reads_writes_and_closes_of_a_queues_file_are_steps()
    {
        var sequence = await RecordAsync("test-queue");

        Assert.Contains(sequence.Steps, step => step is { Read: 1000, Length: > 0, ReturnValue: > 0 } && step.Data.Length == 2 * step.ReturnValue);
        Assert.Contains(sequence.Steps, step => step is { Write: 1000, ReturnValue: > 0 });
        Assert.Contains(sequence.Steps, step => step.Close == 1000);
    }

    [Fact]
    public async Task A_changed_byte_is_a_mismatch()
    {
        await RecordAsync("map");
        var text = await File.ReadAllTextAsync(FileOf("map"));
        const string Answer = "\"out\":\"0c00000000000000";
        var at = text.IndexOf(Answer, StringComparison.Ordinal) + Answer.Length;
        Assert.Equal("01", text[at..(at + 2)]);
        await File.WriteAllTextAsync(FileOf("map"), $"{text[..at]}02{text[(at + 2)..]}");

        await ExpectReplayAsync("map, with another id of its IOAS", FileOf("map"), mismatches: 1);
    }

    [Theory]
    [InlineData("core")]
    [InlineData("sparse")]
    public async Task A_recorded_replay_of_a_kernels_traces_has_their_answers(string group)
    {
        // Each replayed sequence begins with memory of zeros. The trace of all of them is one sequence: of those that copy memory, one.
        var most = group == "sparse" ? 1 : int.MaxValue;
        var file = $"{gateway.NewFile()}.gz";
        var outcome = await Programs.RunAsync([.. Programs.Command, "--record", file, "--", Programs.Built("replay")], [], FeedAsync(group, most));

        Assert.True(outcome.Status == 0, $"replay of the group {group}: {outcome}");
        var kernels = TraceSequence.Read(Programs.Traces(group)).Take(most).SelectMany(sequence => sequence.Steps).Where(IsIoctl).ToList();
        var recorded = TraceSequence.Read(file).Single().Steps.Where(IsIoctl).ToList();
        Assert.Equal(kernels.Select(step => (step.Command, step.Errno, step.ReturnValue)), recorded.Select(step => (step.Command, step.Errno, step.ReturnValue)));
        await ExpectReplayAsync($"the recorded replay of the group {group}", file, mismatches: 0);
    }

    [Theory]
    [InlineData("test-pointers", "it does not replay. Step")]
    [InlineData("test-faults", "was made to fail, which a trace can't tell a replay")]
    public async Task What_can_t_be_replayed_is_not_written(string program, string why)
    {
        var folder = Directory.CreateDirectory(gateway.NewFile()).FullName;
        var outcome = await Programs.RunCommandAsync(null, "--record", Path.Combine(folder, "trace.jsonl"), "--", Programs.Built(program));

        Assert.Equal(125, outcome.Status);
        Assert.Contains(why, outcome.Errors, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFileSystemEntries(folder));
    }

    [Theory]
    [InlineData("--socket", "gateway.sock")]
    [InlineData("--durable", null)]
    public async Task A_record_needs_a_silo_of_its_own(string option, string? value)
    {
        var outcome = await Programs.RunCommandAsync(null, ["--record", gateway.NewFile(), option, .. value is null ? Array.Empty<string>() : [value], "--", "true"]);

        Assert.Equal(125, outcome.Status);
        Assert.Contains("--record gives the program a silo of its own", outcome.Errors, StringComparison.Ordinal);
    }

    private static bool IsIoctl(TraceStep step) => step.Open is null && !step.IsFileStep;

    private static Func<Stream, Task> FeedAsync(string group, int most) => async input =>
    {
        using var lines = new StreamReader(new GZipStream(File.OpenRead(Programs.Traces(group)), CompressionMode.Decompress));
        for (var i = 0; i < most && await lines.ReadLineAsync() is { } line; i++)
        {
            await input.WriteAsync(Encoding.UTF8.GetBytes(line + '\n'));
        }
    };

    private static async Task ExpectReplayAsync(string what, string file, int mismatches)
    {
        var outcome = await Programs.RunAsync(["dotnet", Path.Combine(AppContext.BaseDirectory, "iommufd.dll"), "conformance", file], []);

        Assert.True(outcome.Status == Math.Min(mismatches, 1), $"replay of {what}: {outcome}");
        Assert.Matches($"^1 sequences, .* {mismatches} mismatches, ", outcome.Output.TrimEnd().Split('\n')[^1]);
    }

    private string FileOf(string program)
    {
        if (!_files.TryGetValue(program, out var file))
        {
            _files[program] = file = gateway.NewFile();
        }

        return file;
    }

    private async Task<TraceSequence> RecordAsync(string program)
    {
        var outcome = await Programs.RunCommandAsync(null, "--record", FileOf(program), "--", Programs.Built(program));

        Assert.True(outcome.Status == 0, $"{program}: {outcome}");
        return TraceSequence.Read(FileOf(program)).Single();
    }
}
