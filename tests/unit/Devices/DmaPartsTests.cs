using IommuFd.Devices;
using IommuFd.GrainInterfaces;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Devices;

/// <summary>Long accesses are made in parts that each fit a request: together they are the access.</summary>
public sealed class DmaPartsTests
{
    private const ulong Page = 4096;

    [Theory]
    [InlineData(1, 1)]
    [InlineData(64, 1)]
    [InlineData(65, 2)]
    [InlineData(200, 4)]
    public void More_ranges_than_a_request_has_are_several_parts(int ranges, int parts)
    {
        var access = Access([.. Enumerable.Range(0, ranges).Select(i => new DmaRange((ulong)i * 2 * Page, (ulong)i + 1))]);
        var cut = DmaParts.Of(access).ToArray();
        Expect.Equal(parts, cut.Length, "parts");
        ExpectTogether(access, cut);
    }

    [Fact]
    public void More_bytes_than_a_request_has_are_several_parts()
    {
        var access = Access([new DmaRange(100, IoctlLimits.MaxAccessBytes - 50), new DmaRange(1UL << 40, 100), new DmaRange(5, 3)]);
        var cut = DmaParts.Of(access).ToArray();
        Expect.Equal(2, cut.Length, "parts");
        ExpectTogether(access, cut);
    }

    [Fact]
    public void A_part_is_split_at_a_page_until_it_is_no_longer_than_one()
    {
        var access = Access([new DmaRange(7, (5 * Page) + 3), new DmaRange(1 << 30, 8)]);
        var whole = new List<Access>();
        var rest = new Stack<Access>([access]);
        while (rest.TryPop(out var part))
        {
            if (DmaParts.TrySplit(part, Page, out var first, out var second))
            {
                rest.Push(second);
                rest.Push(first);
            }
            else
            {
                whole.Add(part);
            }
        }

        ExpectTogether(access, whole);
        Expect.That(whole.TrueForAll(part => part.Ranges.Length == 1 && part.Ranges.Span[0].Length <= Page), "A part that can't be split is longer than a page.");
    }

    [Fact]
    public void Ranges_that_are_not_as_long_as_the_buffer_are_no_access()
        => Assert.Throws<ArgumentException>(() => DmaParts.Of(new Access(new[] { new DmaRange(0, 2) }, new byte[1], true, 0)).ToArray());

    // Each byte says which one of the access it is.
    private static Access Access(DmaRange[] ranges)
    {
        var buffer = new byte[ranges.Sum(range => (long)range.Length)];
        for (var i = 0; i < buffer.Length; i++)
        {
            buffer[i] = (byte)(i * 31);
        }

        return new Access(ranges, buffer, true, 3);
    }

    private static void ExpectTogether(Access whole, IReadOnlyCollection<Access> parts)
    {
        Expect.That(parts.SelectMany(part => part.Buffer.ToArray()).SequenceEqual(whole.Buffer.ToArray()), "The parts have other bytes than the whole.");
        Expect.That(
            parts.All(part => part.Ranges.Length <= IoctlLimits.MaxDmaRanges && (ulong)part.Buffer.Length <= IoctlLimits.MaxAccessBytes && part is { Write: true, Pasid: 3 }),
            "A part does not fit a request, or is another kind of access.");
        Expect.That(Iovas(parts.SelectMany(part => part.Ranges.ToArray())).SequenceEqual(Iovas(whole.Ranges.ToArray())), "The parts have other IOVAs than the whole.");
    }

    // Ranges that follow each other are one.
    private static List<DmaRange> Iovas(IEnumerable<DmaRange> ranges)
    {
        var joined = new List<DmaRange>();
        foreach (var range in ranges)
        {
            if (joined.Count > 0 && joined[^1].Iova + joined[^1].Length == range.Iova)
            {
                joined[^1] = joined[^1] with { Length = joined[^1].Length + range.Length };
            }
            else
            {
                joined.Add(range);
            }
        }

        return joined;
    }
}
