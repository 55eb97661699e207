using IommuFd.Linearizability;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;
using Ioctl = IommuFd.Linearizability.Ioctl;

namespace IommuFd.UnitTests.Linearizability;

/// <summary>Files of histories: what is written is read, what is damaged is refused, and the end of a process loses nothing.</summary>
public sealed class HistoryTests : IDisposable
{
    private const string Sent = """{"operation":1,"client":4,"invoked":100,"command":15232,"argument":"0800000001000000"}""";

    private const string Answered = """{"operation":1,"completed":200,"errno":"EBUSY"}""";

    private static readonly Ioctl Destroy = Ioctl.Of(IommuCommand.Destroy, new IommuDestroy { Id = 1 });

    private readonly List<string> _files = [];

    [Fact]
    public void What_is_written_is_read()
    {
        var path = NewFile();
        var answer = new byte[] { 1, 2, 3 };
        using (var writer = new HistoryWriter(path))
        {
            var first = writer.Invoke(1, Destroy);
            var second = writer.Invoke(2, Destroy);
            writer.Invoke(3, Destroy);
            writer.NotRun(writer.Invoke(4, Destroy));
            writer.Complete(second, Errno.None, answer);
            writer.Complete(first, Errno.EBUSY, null);
        }

        var entries = History.Read([path]).Entries;
        Expect.Sequence([1, 2, 3], entries.Select(entry => entry.Client), "the clients of what ran or may have");
        Expect.Sequence([true, true, false], entries.Select(entry => entry.Completed >= entry.Invoked), "which were answered");
        Expect.Equal((new IoctlAnswer(Errno.EBUSY), new IoctlAnswer(Errno.None, answer)), (entries[0].Answer, entries[1].Answer), "the answers");
        Expect.That(entries.All(entry => entry.Ioctl == Destroy), "An ioctl was read that was not written.");
        Expect.That(entries[1].Completed < entries[0].Completed, "The answers came in another order.");
    }

    [Fact]
    public void Files_of_several_processes_are_one_history_by_time()
    {
        var later = NewFile(Sent.Replace("100", "150", StringComparison.Ordinal) + "\n");
        var earlier = NewFile(Sent + "\n" + Answered + "\n");
        Expect.Sequence([100L, 150], History.Read([later, earlier]).Entries.Select(entry => entry.Invoked), "when operations were sent");
    }

    [Fact]
    public void A_last_line_that_was_cut_short_is_passed_over()
    {
        for (var cut = 0; cut <= Answered.Length; cut++)
        {
            var entry = Assert.Single(History.ReadFile(NewFile($"{Sent}\n{Answered[..cut]}")));
            Expect.Equal(null, entry.Completed, $"the answer of which {cut} characters were written");
        }

        Assert.Empty(History.ReadFile(NewFile(Sent)));
        Assert.Empty(History.ReadFile(NewFile("")));
    }

    [Theory]
    [InlineData("", "line 2")]
    [InlineData("{", "line 2")]
    [InlineData("null", "line 2: it is null")]
    [InlineData("""{"operation":2}""", "it says neither")]
    [InlineData("""{"operation":2,"colour":1}""", "colour")]
    [InlineData("""{"operation":2,"completed":200,"errno":"EBUSY"}""", "operation 2 was not sent")]
    [InlineData("""{"operation":1,"completed":99,"errno":"EBUSY"}""", "operation 1 was answered before it was sent")]
    [InlineData("""{"operation":1,"completed":200,"errno":"EWHAT"}""", "there is no errno EWHAT")]
    [InlineData("""{"operation":1,"completed":200,"errno":"99999"}""", "there is no errno 99999")]
    [InlineData("""{"operation":1,"completed":200,"errno":"None","answer":"0g"}""", "line 2")]
    [InlineData("""{"operation":1,"client":4,"invoked":100,"command":15232,"argument":"08"}""", "operation 1 was sent before")]
    [InlineData("""{"operation":1,"completed":200,"errno":"EBUSY","notRun":true}""", "it says neither")]
    public void A_line_that_makes_no_sense_is_refused_with_its_place(string line, string reason)
    {
        var path = NewFile($"{Sent}\n{line}\n{Sent}\n");
        var refused = Assert.Throws<HistoryFormatException>(() => History.ReadFile(path));
        Expect.That(
            refused.Message.StartsWith($"{path}, line 2: ", StringComparison.Ordinal) && refused.Message.Contains(reason, StringComparison.Ordinal),
            $"It was refused with: {refused.Message}");
    }

    [Fact]
    public void An_operation_is_answered_once()
    {
        var refused = Assert.Throws<HistoryFormatException>(() => History.ReadFile(NewFile($"{Sent}\n{Answered}\n{Answered}\n")));
        Expect.That(refused.Message.Contains("line 3: operation 1 was answered before", StringComparison.Ordinal), refused.Message);
    }

    public void Dispose() => _files.ForEach(File.Delete);

    private string NewFile(string content = "")
    {
        var path = Path.GetTempFileName();
        _files.Add(path);
        File.WriteAllText(path, content);
        return path;
    }
}
