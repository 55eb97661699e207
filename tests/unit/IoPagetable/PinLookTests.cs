using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.IoPagetable;

/// <summary>Pinning memory of which something must be known first.</summary>
public sealed class PinLookTests
{
    private const ulong Page = 0x1000;
    private const ulong Memory = 0x7F00_0000_0000;
    private const ulong Iova = 0x100_0000;
    private const IommuIoasMapFlags Fixed = IommuIoasMapFlags.FixedIova | IommuIoasMapFlags.Readable | IommuIoasMapFlags.Writeable;

    private static readonly MemorySource Program = new(GrainId.Create("sys.client", "program"), 1);

    private readonly IoasModel _ioas = new(1);
    private PinLook? _look;

    [Fact]
    public void A_domain_asks_about_what_is_mapped_a_part_at_a_time_and_changes_nothing_before()
    {
        const int Areas = MemoryQuestion.MaxPieces + 10;
        for (ulong i = 0; i < Areas; i++)
        {
            Map(i);
        }

        Expect.Equal((Errno.EAGAIN, MemoryQuestion.MaxPieces), Add(default), "the first attempt, and what it asks about");
        Expect.Equal((Errno.EAGAIN, 10), Add(new PinFacts(MemoryQuestion.MaxPieces)), "the second attempt");
        Expect.Equal(0, _ioas.Table.Domains.Count, "domains so far");
        Expect.Equal((Errno.EFAULT, 0), Add(new PinFacts(Areas - 1, Memory)), "an attempt where the last area is missing");
        Expect.Equal(Iova + ((Areas - 1) * Page), _look!.Unpinnable?.Mapped?.Start ?? 0, "the area that is named");
        Expect.Equal((Errno.None, 0), Add(new PinFacts(Areas)), "an attempt where all is there");
        Expect.Equal(1, _ioas.Table.Domains.Count, "domains");
        _ioas.Table.Validate();
    }

    [Fact]
    public void A_further_domain_asks_about_nothing()
    {
        Map(0);
        Expect.Equal((Errno.None, 0), Add(new PinFacts(1)), "the first domain");
        Expect.Equal((Errno.None, 0), Add(default), "the second domain");
    }

    [Fact]
    public void What_fails_before_memory_is_looked_at_asks_about_nothing_and_what_fails_behind_it_asks_first()
    {
        Map(0);
        var slices = new List<PagesSlice>();
        var look = new PinLook(default);
        Expect.Equal(Errno.ENOENT, _ioas.Table.Pin(Iova - Page, Page, write: false, locks: false, slices, look), "a pin of nothing");

        look = new PinLook(default);
        Expect.Equal(Errno.EAGAIN, _ioas.Table.Pin(Iova, 2 * Page, write: false, locks: false, slices, look), "a pin that leaves what is mapped");
        Expect.Equal(1, look.Questions.Length, "questions");
        Expect.Equal(Errno.EFAULT, _ioas.Table.Pin(Iova, 2 * Page, write: false, locks: false, slices, new PinLook(new PinFacts(0, Memory))), "where the memory is missing");
        Expect.Equal(Errno.ENOENT, _ioas.Table.Pin(Iova, 2 * Page, write: false, locks: false, slices, new PinLook(new PinFacts(1))), "where the memory is there");
        Expect.Equal(0L, _ioas.Table.PinnedAreaCount, "pins");
    }

    [Fact]
    public void Whole_pages_are_asked_about()
    {
        ulong iova = Iova + 0x10;
        Expect.Equal(Errno.None, _ioas.Map(Fixed, Memory + 0x10, 0x1000, 0, 0, ref iova, new PagesOrigin(Program, null)), "mapping a page's length, within two pages");
        var look = new PinLook(default);
        Expect.Equal(Errno.None, look.Check(_ioas.Table.Areas.Single().Slice), "not known yet");
        var question = look.Questions.Single();
        Expect.Equal(new MemoryPiece(null, Memory, 2 * Page, Write: true, WasPresent: false), question.Piece, "what is asked");
        Expect.Equal(new MemoryPiece(null, Memory + Page, Page, Write: true, WasPresent: false), question.After(Page).Piece, "what is left behind a page");
    }

    [Fact]
    public void A_snapshot_keeps_whose_memory_it_is_and_what_it_is_a_mapping_of()
    {
        Map(0);
        Map(1, new PagesOrigin(null, null));
        Map(2, new PagesOrigin(Program with { Number = 2 }, new FileMapping(new MappedFile("memfd 1"), 5 * Page, 7 * Page)));
        ulong iova = Iova + (3 * Page);
        Expect.Equal(Errno.None, _ioas.MapFile(Fixed, new MappedFile("memfd 2"), 0, Page, Page, ref iova, new PagesOrigin(Program, null)), "mapping a file");

        var restored = IoasModel.Restore(1, ((IoasSnapshot)_ioas.Save()).RoundTrip());

        Expect.Sequence(Origins(_ioas), Origins(restored), "where the pages come from");
        restored.Table.Validate();

        static IEnumerable<(MappedFile?, MemorySource?, FileMapping?)> Origins(IoasModel ioas)
            => ioas.Table.Areas.Select(area => (area.Pages.File, area.Pages.Source, area.Pages.Mapping));
    }

    [Theory]
    [InlineData(true, -1, 0UL)]
    [InlineData(true, 3, 0UL)]
    [InlineData(true, 1, 0x1000UL)]
    [InlineData(false, 2, 0UL)]
    [InlineData(true, int.MaxValue, ulong.MaxValue)]
    public async Task An_answer_that_makes_no_sense_leaves_memory_as_it_was_when_it_was_mapped(bool isKnown, int present, ulong fault)
        => Expect.Equal((1, 0UL), await AskAsync(Program, () => Task.FromResult(new MemoryAnswer(isKnown, present, fault))), "what counts as there");

    [Fact]
    public async Task A_program_that_fails_or_does_not_answer_leaves_memory_as_it_was_when_it_was_mapped()
    {
        Expect.Equal((1, 0UL), await AskAsync(Program, () => throw new InvalidOperationException("gone")), "a program that is gone");
        Expect.Equal((1, 0UL), await AskAsync(Program, () => Task.FromResult<MemoryAnswer>(null!)), "a program that answers nothing");
        Expect.Equal((1, 0UL), await AskAsync(Program, () => new TaskCompletionSource<MemoryAnswer>().Task), "a program that is silent");
        Expect.Equal((1, 0UL), await AskAsync(new MemorySource(GrainId.Create("context", "1"), 1), () => Task.FromResult(new MemoryAnswer(true, 2))), "what is no program");
    }

    [Fact]
    public async Task An_answer_is_taken_by_the_page()
        => Expect.Equal((1, 0UL), await AskAsync(Program, () => Task.FromResult(new MemoryAnswer(true, 1, 0xFFF))), "a page that is there but for its last byte");

    // Asks about two pages, of which the first was there when it was mapped.
    private static async Task<(int, ulong)> AskAsync(MemorySource source, Func<Task<MemoryAnswer>> answer)
    {
        var ioas = new IoasModel(1);
        ulong iova = Iova;
        Expect.Equal(Errno.None, ioas.Map(Fixed, Memory, 2 * Page, Page, Page, ref iova, new PagesOrigin(source, null)), "mapping two pages of which one is there");
        var pages = ioas.Table.Areas.Single().Pages;
        PinQuestion[] questions = [new(pages, 0, Page, WasPresent: true), new(pages, Page, Page, WasPresent: false)];
        var programs = new ProgramMemory(FakeGrainFactory.For((_, _) => new Observer(answer)), TimeSpan.FromMilliseconds(20), null, default);
        return await programs.AskAsync(source, questions);
    }

    private void Map(ulong page) => Map(page, new PagesOrigin(Program, null));

    private void Map(ulong page, PagesOrigin origin)
    {
        var iova = Iova + (page * Page);
        Expect.Equal(Errno.None, _ioas.Map(Fixed, Memory + (page * Page), Page, 0, 0, ref iova, origin), $"mapping page {page}");
    }

    private (Errno, int) Add(PinFacts facts)
    {
        _look = new PinLook(facts);
        return (_ioas.Table.AddDomain(new IommuDomain("selftest", new IovaRange(0, ulong.MaxValue - 1), 0x800, canTrackDirty: false), _look), _look.Questions.Length);
    }

    private sealed class Observer(Func<Task<MemoryAnswer>> answer) : IMemoryObserver
    {
        public Task<MemoryVerdict> ChargeAsync(MemoryCharge charge) => throw new NotSupportedException();

        public Task<MemoryAnswer> LookAsync(MemoryQuestion question) => answer();
    }
}
