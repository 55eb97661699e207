using CsCheck;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;
using IommuFd.Uapi;

namespace IommuFd.UnitTests.IoPagetable;

// Random sequences of operations on two tables, the real ones and the naive ones side by side: every errno, every output and in
// the end every area must be equal. Now and then a real one is written down, and goes on as what is made of that. Values are drawn from few that collide often, with the edges of the IOVA space among them.
// A failure is shrunk, and its message has the seed.

public sealed class IoptTableRandomTests
{
    private static readonly object[] Owners = [new ObjectId(1), new ObjectId(2)];
    private static readonly MappedFile File = new("file 1");

    private static readonly Gen<ulong> Offset = Gen.OneOf<ulong>(0UL, 0, 0, 0, 1, 0x10, 0x7FF, 0x800, 0xC00, 0xFF0, 0xFFF);
    private static readonly Gen<ulong> Base = Gen.Frequency(
        (8, Gen.ULong[0, 40].Select(page => page << 12)),
        (2, Gen.ULong[0, 12].Select(block => block << 20)),
        (1, Gen.ULong[0, 6].Select(page => 0UL - (page << 12))));

    private static readonly Gen<ulong> Iova = Gen.Select(Base, Offset, (start, offset) => start + offset);
    private static readonly Gen<ulong> Length = Gen.Frequency(
        (8, Gen.OneOf<ulong>(1UL, 2, 0x10, 0x800, 0x1000, 0x1000, 0x1000, 0x1001, 0x1800, 0x2000, 0x3000, 0x4000)),
        (3, Gen.OneOf<ulong>(0x10000UL, 0x11000, 0x80000, 0x100000, 0x200000, 0x201000, 0x400000)),
        (1, Gen.OneOf<ulong>(0UL, 1UL << 40, 1UL << 62, 1UL << 63)),
        (1, Gen.OneOf<ulong>((1UL << 63) - 2, (1UL << 63) - 1, ulong.MaxValue - 0x2FFF, ulong.MaxValue - 0x1000, ulong.MaxValue - 1)));

    private static readonly Gen<Op> AnyOp = Gen.Select(
        Gen.Frequency(
            (8, Gen.Const(Kind.MapUser)), (3, Gen.Const(Kind.MapFile)), (6, Gen.Const(Kind.Copy)), (6, Gen.Const(Kind.Unmap)),
            (1, Gen.Const(Kind.UnmapAll)), (2, Gen.Const(Kind.Reserve)), (1, Gen.Const(Kind.RemoveReserved)),
            (2, Gen.Const(Kind.Allow)), (1, Gen.Const(Kind.LargePages)), (2, Gen.Const(Kind.Cut)), (1, Gen.Const(Kind.Look)), (1, Gen.Const(Kind.MakeAgain))),
        Gen.Int[0, 1], Gen.Bool, Gen.Bool, Iova, Iova, Length,
        (kind, table, isFixed, flag, iova, address, length) => new Op(kind, table, isFixed, flag, iova, address, length));

    private enum Kind
    {
        MapUser,
        MapFile,
        Copy,
        Unmap,
        UnmapAll,
        Reserve,
        RemoveReserved,
        Allow,
        LargePages,
        Cut,
        Look,
        MakeAgain,
    }

    [Fact]
    public void Tables_do_what_naive_tables_do()
        => AnyOp.Array[1, 200].Sample(ops => new Pair().Run(ops), iter: 12_000, threads: 1);

    private readonly record struct Op(Kind Kind, int Table, bool IsFixed, bool Flag, ulong Iova, ulong Address, ulong Length);

    // Two IOAS each, so that copies go within and between.
    private sealed class Pair
    {
        private readonly IoptTable[] _real = [new(), new()];
        private readonly NaiveTable[] _naive = [new(), new()];
        private long _lastPages;

        public void Run(Op[] ops)
        {
            foreach (var op in ops)
            {
                Step(op);
            }

            for (var i = 0; i < _real.Length; i++)
            {
                _real[i].Validate();
                Assert.Equal(_naive[i].Areas, _real[i].Areas.Select(Naive));
                Assert.Equal(_naive[i].UnreservedHoles(), _real[i].Reserved.Holes.Select(hole => ((UInt128)hole.Start, (UInt128)hole.Last + 1)));
            }
        }

        private static NaiveArea Naive(IoptArea area)
            => new(area.Range.Start, (UInt128)area.Range.Last + 1, area.Pages, area.StartByte, area.Prot);

        private void Step(Op op)
        {
            var (real, naive) = (_real[op.Table], _naive[op.Table]);
            switch (op.Kind)
            {
                case Kind.MapUser or Kind.MapFile:
                    var errno = op.Kind == Kind.MapUser
                        ? PagesFactory.OfUser(new PagesId(1, ++_lastPages), op.Address, op.Length, op.Length, op.Flag, out var pages)
                        : PagesFactory.OfFile(new PagesId(2, ++_lastPages), File, op.Address, op.Length, op.Length, op.Flag, out pages);
                    if (errno == Errno.None)
                    {
                        Map(real, naive, [new PagesSlice(pages!, op.Address % NaiveTable.Page, op.Length)], op, op.Flag);
                    }

                    break;
                case Kind.Copy:
                    Copy(op);
                    break;
                case Kind.Unmap:
                    Assert.Equal((naive.Unmap(op.Iova, op.Length, out var expected), expected), (real.Unmap(op.Iova, op.Length, out var unmapped), unmapped));
                    break;
                case Kind.UnmapAll:
                    Assert.Equal((naive.Unmap(0, NaiveTable.IovaEnd, out expected), expected), (real.UnmapAll(out unmapped), unmapped));
                    break;
                case Kind.Reserve when IovaRange.TryOfLength(op.Iova, Math.Max(op.Length, 1), out var range):
                    var owner = op.IsFixed ? Owners[op.Flag ? 1 : 0] : null;
                    Assert.Equal(naive.Reserve(range.Start, (UInt128)range.Last + 1, owner), real.Reserve(range, owner));
                    break;
                case Kind.RemoveReserved:
                    naive.RemoveReserved(Owners[op.Flag ? 1 : 0]);
                    real.RemoveReserved(Owners[op.Flag ? 1 : 0]);
                    break;
                case Kind.Allow:
                    Allow(real, naive, op);
                    break;
                case Kind.LargePages when op.Flag:
                    naive.SetLargePages(true);
                    real.EnableLargePages();
                    break;
                case Kind.LargePages:
                    Assert.Equal(naive.SetLargePages(false), real.DisableLargePages());
                    break;
                case Kind.Cut:
                    Assert.Equal(naive.Cut(op.Iova), real.Cut([op.Iova]));
                    break;
                case Kind.MakeAgain:
                    _real[op.Table] = real.MakeAgain([], []);
                    naive.Adopt(_real[op.Table]);
                    break;
                default:
                    Look(real, naive, op.Iova);
                    break;
            }
        }

        private void Copy(Op op)
        {
            var (source, destination) = (op.Flag ? op.Table : 1 - op.Table, op.Table);
            List<PagesSlice> expected = [], slices = [];
            Assert.Equal(_naive[source].GetPages(op.Address, op.Length, expected), _real[source].GetPages(op.Address, op.Length, slices));
            Assert.Equal(expected, slices);
            if (slices.Count > 0)
            {
                Map(_real[destination], _naive[destination], slices, op, op.Length % 3 != 0);
            }
        }

        private static void Map(IoptTable real, NaiveTable naive, List<PagesSlice> slices, Op op, bool write)
        {
            var prot = IommuProt.Read | (write ? IommuProt.Write : 0);
            var expectedErrno = naive.Map(slices, prot, op.IsFixed ? op.Iova : null, out var expected);
            var errno = real.Map(slices.ToArray(), prot, op.IsFixed ? op.Iova : null, out var iova);
            Assert.Equal(expectedErrno, errno);
            Assert.True(errno != Errno.None || expected == iova, $"mapped at 0x{iova:x}, expected 0x{expected:x}");
        }

        private static void Allow(IoptTable real, NaiveTable naive, Op op)
        {
            // Up to three ranges, which may touch or overlap.
            var end = op.Iova + op.Length;
            IommuIovaRange[] ranges = [Range(op.Iova, end - 1), Range(end, end + 0x20000), Range(op.Address, op.Address + 0x5000)];
            ranges = ranges[..(op.IsFixed ? (op.Flag ? 3 : 2) : (op.Flag ? 1 : 0))];
            var errno = AllowedRanges.Create(ranges, out var allowed);
            Assert.Equal(naive.SetAllowed(ranges), errno == Errno.None ? real.SetAllowed(allowed) : errno);
        }

        private static void Look(IoptTable real, NaiveTable naive, ulong iova)
        {
            Assert.Equal(naive.MapsOtherThanFiles, real.MapsOtherThanFiles);
            Assert.Equal(naive.Alignment, real.IovaAlignment);
            Assert.Equal(naive.LargestHole(), real.LargestHole());
            Assert.Equal(naive.UnreservedHoles().Count, real.Reserved.HoleCount);
            Assert.Equal(naive.Areas.LastOrDefault(area => area.End <= iova)?.Start, real.AreaBelow(iova)?.Range.Start);
            Assert.Equal(naive.Areas.Find(area => area.Start > iova)?.Start, real.AreaAbove(iova)?.Range.Start);
            Assert.Equal(naive.Areas.Find(area => area.End > iova)?.Start, real.FirstArea(new IovaRange(iova, ulong.MaxValue))?.Range.Start);
        }

        private static IommuIovaRange Range(ulong start, ulong last) => new() { Start = start, Last = last };
    }
}
