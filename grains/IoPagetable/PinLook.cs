using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable.Pins;
using IommuFd.Uapi;

namespace IommuFd.Grains.IoPagetable;

// Linux finds out whether memory is there when it pins it. A model can't ask a program, so pinning takes several attempts: one that meets
// memory of which nothing is known yet changes nothing and says what it must know (EAGAIN, which no command answers); the context asks the
// program that mapped the memory, and the next attempt knows more.

/// <summary>What is known of the memory that is to be pinned: it is asked about in the order in which it is pinned.</summary>
/// <param name="Present">How many leading slices are there.</param>
/// <param name="Fault">The address, or the offset in the file, of a byte of the slice after these that isn't there; null where that is not known yet.</param>
/// <param name="Charge">Whether what is pinned of memory that has a limit has been charged.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.PinFacts")]
internal readonly record struct PinFacts([property: Id(0)] long Present, [property: Id(1)] ulong? Fault = null, [property: Id(2)] PinCharge Charge = PinCharge.None);

/// <summary>Whether pages may be pinned that count against a limit.</summary>
internal enum PinCharge : byte
{
    /// <summary>Nobody was asked yet.</summary>
    None = 0,

    /// <summary>They are within the limit, and are charged.</summary>
    Granted,

    /// <summary>They would pass the limit.</summary>
    Refused,
}

/// <summary>A slice of pages of which it must be known whether it is there.</summary>
/// <param name="Pages">The pages.</param>
/// <param name="StartByte">Where the slice starts, in bytes from the first page's start: a multiple of the page size.</param>
/// <param name="Length">Bytes: whole pages.</param>
/// <param name="WasPresent">Whether it was there when it was mapped.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.PinQuestion")]
internal readonly record struct PinQuestion([property: Id(0)] IoptPages Pages, [property: Id(1)] ulong StartByte, [property: Id(2)] ulong Length, [property: Id(3)] bool WasPresent)
{
    /// <summary>What to ask the program.</summary>
    public MemoryPiece Piece => new(Pages.File, Pages.Start + StartByte, Length, Pages.Writable, WasPresent);

    /// <summary>The question that is left behind so many bytes; nothing is left at its end.</summary>
    public PinQuestion After(ulong bytes) => this with { StartByte = StartByte + bytes, Length = Length - bytes };
}

/// <summary>One attempt to pin memory.</summary>
/// <param name="facts">What is known.</param>
/// <param name="isFresh">Whether the memory was looked at just now, to be mapped.</param>
internal sealed class PinLook(PinFacts facts, bool isFresh = false)
{
    private readonly List<PinQuestion> _questions = [];
    private long _seen;

    /// <summary>What must be known first; empty where everything that was met is known.</summary>
    public PinQuestion[] Questions => [.. _questions];

    /// <summary>What would be pinned of memory that has a limit, and must be charged first; null for nothing.</summary>
    public PinTally? Price { get; private set; }

    /// <summary>The slice that can't be pinned, and where it is mapped, if it is; null where none was met.</summary>
    public (PagesSlice Slice, IovaRange? Mapped)? Unpinnable { get; private set; }

    /// <summary>Whether a slice of pages that nobody has pinned can be pinned. What is not known yet counts as there.</summary>
    /// <param name="slice">The slice.</param>
    /// <param name="mapped">Where it is mapped; null for a slice that is about to be.</param>
    public Errno Check(PagesSlice slice, IovaRange? mapped = null)
    {
        if (isFresh || slice.Pages.Source is null)
        {
            return CheckedAs(slice, mapped, slice.IsPinnable());
        }

        var number = _seen++;
        if (number < facts.Present)
        {
            return Errno.None;
        }

        if (facts.Fault is not null)
        {
            return CheckedAs(slice, mapped, false);
        }

        if (_questions.Count < MemoryQuestion.MaxPieces)
        {
            var start = PageSizes.RoundDown(slice.StartByte);
            var length = ((slice.StartByte + (slice.Length - 1)) | (PageSizes.Page - 1)) - start + 1;
            _questions.Add(new PinQuestion(slice.Pages, start, length, slice.IsPinnable()));
        }

        return Errno.None;
    }

    /// <summary>EAGAIN where what would be pinned must be charged first. Nothing else may fail after this.</summary>
    /// <param name="price">What would be pinned of memory that has a limit; null for nothing.</param>
    public Errno Charge(PinTally? price)
    {
        if (price is null || facts.Charge == PinCharge.Granted)
        {
            return Errno.None;
        }

        Price = price;
        return Errno.EAGAIN;
    }

    /// <summary>The outcome of the attempt: EAGAIN while something must be known first.</summary>
    public Errno Conclude(Errno errno) => _questions.Count > 0 ? Errno.EAGAIN : errno;

    private Errno CheckedAs(PagesSlice slice, IovaRange? mapped, bool isPinnable)
    {
        if (isPinnable)
        {
            return Errno.None;
        }

        Unpinnable = (slice, mapped);
        return slice.UnpinnableErrno();
    }
}
