using CsCheck;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.IoPagetable;

// Random sequences of operations on a table that domains and accesses come to and leave, and the naive one beside it. Values are drawn
// from few that collide often. Now and then the real table is written down, and goes on as what is made of that. A failure is shrunk, and its message has the seed.

public sealed class IoptTableDomainRandomTests
{
    private static readonly object[] Owners = [new ObjectId(1), new ObjectId(2)];
    private static readonly MappedFile File = new("file 1");

    private static readonly (ulong Start, ulong Last)[] Apertures =
        [(0, ulong.MaxValue), (0x2000, 0x1FFFF), (0x8000, ulong.MaxValue), (0, 0x17FFF), (0x4000, 0xFFFF_FFFF_FFFF_EFFF), (0x800, 0x27FFF)];

    private static readonly Gen<ulong> Offset = Gen.OneOf<ulong>(0UL, 0, 0, 0, 0, 0, 0x800, 0x800, 0x400, 1);

    private static readonly Gen<ulong> Iova = Gen.Select(
        Gen.Frequency((12, Gen.ULong[0, 24].Select(page => page << 12)), (1, Gen.ULong[1, 4].Select(page => 0UL - (page << 12)))),
        Offset,
        (start, offset) => start + offset);

    private static readonly Gen<ulong> Length = Gen.Frequency(
        (12, Gen.OneOf<ulong>(0x1000UL, 0x1000, 0x1000, 0x2000, 0x2000, 0x3000, 0x4000, 0x800, 0x1800)),
        (3, Gen.OneOf<ulong>(1UL, 0x400, 0x1001, 0x8000, 0x10000)),
        (1, Gen.OneOf<ulong>(0UL, 1UL << 40, ulong.MaxValue)));

    private static readonly Gen<Op> AnyOp = Gen.Select(
        Gen.Frequency(
            (8, Gen.Const(Kind.Map)), (2, Gen.Const(Kind.Copy)), (4, Gen.Const(Kind.Unmap)), (1, Gen.Const(Kind.UnmapAll)),
            (3, Gen.Const(Kind.AddDomain)), (2, Gen.Const(Kind.RemoveDomain)), (2, Gen.Const(Kind.AddAccess)), (2, Gen.Const(Kind.RemoveAccess)),
            (6, Gen.Const(Kind.Pin)), (3, Gen.Const(Kind.Unpin)), (2, Gen.Const(Kind.Resolve)), (3, Gen.Const(Kind.MarkDirty)),
            (2, Gen.Const(Kind.LargePages)), (4, Gen.Const(Kind.Cut)), (1, Gen.Const(Kind.Reserve)), (1, Gen.Const(Kind.Allow)),
            (2, Gen.Const(Kind.MakeAgain))),
        Gen.Int[0, 23], Gen.Bool, Gen.Bool, Iova, Iova, Length,
        (kind, choice, isFixed, flag, iova, address, length) => new Op(kind, choice, isFixed, flag, iova, address, length));

    private enum Kind
    {
        Map,
        Copy,
        Unmap,
        UnmapAll,
        AddDomain,
        RemoveDomain,
        AddAccess,
        RemoveAccess,
        Pin,
        Unpin,
        Resolve,
        MarkDirty,
        LargePages,
        Cut,
        Reserve,
        Allow,
        MakeAgain,
    }

    [Fact]
    public void A_table_with_domains_and_pins_does_what_a_naive_one_does()
        => AnyOp.Array[1, 150].Sample(ops => new Pair().Run(ops), iter: 1_000, threads: 1);

    private readonly record struct Op(Kind Kind, int Choice, bool IsFixed, bool Flag, ulong Iova, ulong Address, ulong Length);

    private sealed class Pair
    {
        private IoptTable _real = new();
        private readonly NaiveTable _naive = new();
        private readonly List<IovaRange> _pins = [];
        private readonly List<(TestDomain Real, NaiveDomain Naive)> _domains = [];
        private long _lastPages;

        public Pair() => _real.RevokePins = Revoke;

        public void Run(Op[] ops)
        {
            for (var i = 0; i < ops.Length; i++)
            {
                var what = $"step {i}, {ops[i]}";
                Step(ops[i], what);
                Compare(what);
            }
        }

        private void Revoke(IovaRange range)
        {
            foreach (var pin in _pins.Where(pin => pin.Overlaps(range)).ToList())
            {
                _pins.Remove(pin);
                _real.Unpin(new PinnedRange(pin, IsLocked: false));
            }
        }

        private void Compare(string what)
        {
            _real.Validate();
            Expect.Equal(_naive.Alignment, _real.IovaAlignment, $"alignment after {what}");
            Expect.Sequence(
                _naive.Areas.Select(area => (area, _naive.PinsIn(area))),
                _real.Areas.Select(area => (new NaiveArea(area.Range.Start, (UInt128)area.Range.Last + 1, area.Pages, area.StartByte, area.Prot), area.Pins)),
                $"areas and their pins after {what}");
            Expect.Sequence(_naive.Pins, _pins.Select(pin => ((UInt128)pin.Start, (UInt128)pin.Last + 1)), $"pins after {what}");
            Expect.Sequence(
                _naive.UnreservedHoles(), _real.Reserved.Holes.Select(hole => ((UInt128)hole.Start, (UInt128)hole.Last + 1)), $"holes after {what}");
            foreach (var (real, naive) in _domains)
            {
                Expect.Sequence(naive.Dirty.Order(), real.DirtyRuns(IovaRange.All).SelectMany(run => PagesOf(run, real)), $"dirty pages of {real} after {what}");
            }
        }

        private static IEnumerable<UInt128> PagesOf(IovaRange run, TestDomain domain)
        {
            for (UInt128 page = run.Start / domain.PageSize; page <= run.Last / domain.PageSize; page++)
            {
                yield return page;
            }
        }

        private void Step(Op op, string what)
        {
            List<PagesSlice> expected = [], slices = [];
            switch (op.Kind)
            {
                case Kind.Map:
                    Map(op, what);
                    break;
                case Kind.Copy:
                    if (_real.GetPages(op.Address, op.Length, slices) == Errno.None)
                    {
                        Map([.. slices], op, what);
                    }

                    break;
                case Kind.Unmap:
                    Expect.Equal((_naive.Unmap(op.Iova, op.Length, out var bytes), bytes), (_real.Unmap(op.Iova, op.Length, out var unmapped), unmapped), what);
                    break;
                case Kind.UnmapAll:
                    Expect.Equal((_naive.Unmap(0, NaiveTable.IovaEnd, out bytes), bytes), (_real.UnmapAll(out unmapped), unmapped), what);
                    break;
                case Kind.AddDomain:
                    AddDomain(op, what);
                    break;
                case Kind.RemoveDomain when _domains.Count > 0:
                    var domain = _domains[op.Choice % _domains.Count];
                    _domains.Remove(domain);
                    _naive.RemoveDomain(domain.Naive);
                    _real.RemoveDomain(domain.Real);
                    break;
                case Kind.AddAccess when !op.Flag || op.IsFixed:
                    Expect.Equal(_naive.AddPinningAccess(), _real.AddAccess(needsPinPages: true), what);
                    break;
                case Kind.AddAccess:
                    Expect.Equal(Errno.None, _real.AddAccess(needsPinPages: false), what);
                    break;
                case Kind.RemoveAccess when _naive.PinningAccesses > 0:
                    _naive.RemovePinningAccess();
                    _real.RemoveAccess(needsPinPages: true);
                    break;
                case Kind.RemoveAccess:
                    _real.RemoveAccess(needsPinPages: false);
                    break;
                case Kind.Pin:
                    var errno = _naive.Pin(op.Iova, op.Length, op.Flag, expected);
                    Expect.Equal(errno, _real.Pin(op.Iova, op.Length, op.Flag, locks: false, slices), what);
                    Expect.Sequence(expected, slices, what);
                    if (errno == Errno.None)
                    {
                        _pins.Add(new IovaRange(op.Iova, op.Iova + (op.Length - 1)));
                    }

                    break;
                case Kind.Unpin when _pins.Count > 0:
                    var pin = op.Choice % _pins.Count;
                    _real.Unpin(new PinnedRange(_pins[pin], IsLocked: false));
                    _pins.RemoveAt(pin);
                    _naive.Pins.RemoveAt(pin);
                    break;
                case Kind.Resolve:
                    Expect.Equal(_naive.Resolve(op.Iova, op.Length, op.Flag, expected), _real.Resolve(op.Iova, op.Length, op.Flag, slices), what);
                    Expect.Sequence(expected, slices, what);
                    break;
                case Kind.MarkDirty when _domains.Count > 0:
                    var written = _domains[op.Choice % _domains.Count];
                    _naive.MarkDirty(written.Naive, op.Iova);
                    if (_real.FirstArea(new IovaRange(op.Iova, op.Iova)) is not null)
                    {
                        written.Real.MarkDirty(new IovaRange(op.Iova, op.Iova));
                    }

                    break;
                case Kind.LargePages when op.Flag:
                    Expect.Equal(Errno.None, _naive.SetLargePages(true), what);
                    _real.EnableLargePages();
                    break;
                case Kind.LargePages:
                    Expect.Equal(_naive.SetLargePages(false), _real.DisableLargePages(), what);
                    break;
                case Kind.Cut:
                    Expect.Equal(_naive.Cut(op.Iova - 1), _real.Cut([op.Iova - 1]), what);
                    break;
                case Kind.Reserve:
                    ReserveOrGiveBack(op, what);
                    break;
                case Kind.Allow:
                    Allow(op, what);
                    break;
                case Kind.MakeAgain:
                    MakeAgain();
                    break;
            }
        }

        // The domains of an IOAS in the order in which its table has them.
        private void MakeAgain()
        {
            for (var i = 0; i < _domains.Count; i++)
            {
                _domains[i] = (_domains[i].Real.MakeAgain(), _domains[i].Naive);
            }

            _real = _real.MakeAgain([.. _domains.Select(domain => domain.Real)], _pins);
            _real.RevokePins = Revoke;
            _naive.Adopt(_real);
        }

        // Memory of which all, the first page, or nothing can be pinned.
        private void Map(Op op, string what)
        {
            var pinnable = (op.Choice % 6) switch { 0 => 0UL, 1 => NaiveTable.Page, _ => op.Length };
            var errno = op.Choice < 18
                ? PagesFactory.OfUser(new PagesId(0, ++_lastPages), op.Address, op.Length, pinnable, op.Flag, out var pages)
                : PagesFactory.OfFile(new PagesId(0, ++_lastPages), File, op.Address, op.Length, pinnable, op.Flag, out pages);
            if (errno == Errno.None)
            {
                Map([new PagesSlice(pages!, op.Address % NaiveTable.Page, op.Length)], op, what);
            }
        }

        private void Map(PagesSlice[] slices, Op op, string what)
        {
            var mayWrite = op.Flag || op.Choice % 8 == 0;
            var prot = (op.Choice % 4) switch { 0 when mayWrite => IommuProt.Write, > 1 when mayWrite => IommuProt.Read | IommuProt.Write, _ => IommuProt.Read };
            var fixedIova = op.IsFixed ? op.Iova : (ulong?)null;
            var expected = _naive.Map(slices, prot, fixedIova, out var expectedIova);
            Expect.Equal(expected, _real.Map(slices, prot, fixedIova, out var iova), what);
            Expect.That(expected != Errno.None || expectedIova == iova, $"{what}: mapped at 0x{iova:X}, expected 0x{expectedIova:X}.");
        }

        private void AddDomain(Op op, string what)
        {
            if (op.Choice == 0 && _domains.Count > 0)
            {
                Expect.Equal(_naive.AddDomain(_domains[0].Naive), _real.AddDomain(_domains[0].Real), what);
                return;
            }

            var (start, last) = Apertures[op.Choice % Apertures.Length];
            var pageSize = (op.Choice / Apertures.Length) switch { 0 => 512UL, 1 => 2048UL, 2 => 4096UL, _ => op.Flag ? 8192UL : 1UL };
            var (real, naive) = (new TestDomain(start, last, pageSize), new NaiveDomain(start, (UInt128)last + 1, pageSize));
            var errno = _naive.AddDomain(naive);
            Expect.Equal(errno, _real.AddDomain(real), what);
            if (errno == Errno.None)
            {
                _domains.Add((real, naive));
            }
        }

        private void ReserveOrGiveBack(Op op, string what)
        {
            var owner = Owners[op.Flag ? 0 : 1];
            if (op.IsFixed || !IovaRange.TryOfLength(op.Iova, Math.Clamp(op.Length, 1, 0x4000), out var range))
            {
                _naive.RemoveReserved(owner);
                _real.RemoveReserved(owner);
                return;
            }

            Expect.Equal(_naive.Reserve(range.Start, (UInt128)range.Last + 1, owner), _real.Reserve(range, owner), what);
        }

        private void Allow(Op op, string what)
        {
            IommuIovaRange[] ranges = op.Flag ? [] : [new() { Start = op.Iova, Last = op.Iova + 0x7FFF }];
            var errno = AllowedRanges.Create(ranges, out var allowed);
            Expect.Equal(_naive.SetAllowed(ranges), errno == Errno.None ? _real.SetAllowed(allowed) : errno, what);
        }
    }
}
