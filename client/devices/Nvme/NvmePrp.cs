using System.Buffers.Binary;
using IommuFd.GrainInterfaces;

namespace IommuFd.Devices.Nvme;

// PRP1 may begin within a page. PRP2 is the second page where there are two, else a list of pages, the last of which leads to the next list where there are more.
// A list may begin within a page too, and ends with that page.

/// <summary>Follows the physical region pages of a command to the IOVAs of its data.</summary>
internal static class NvmePrp
{
    private const int Page = NvmeRegister.PageBytes;

    /// <summary>Finds the IOVAs of so many bytes.</summary>
    /// <returns>The ranges in order, adjacent pages joined; or why there are none.</returns>
    public static async ValueTask<(NvmeStatus Status, DmaRange[] Ranges)> ResolveAsync(IDmaPort dma, NvmeCommand command, int length, CancellationToken stop)
    {
        var first = Math.Min(length, Page - (int)(command.Prp1 % Page));
        var ranges = new List<DmaRange> { new(command.Prp1, (ulong)first) };
        var rest = length - first;
        if ((command.Prp1 & 3) != 0)
        {
            return (NvmeStatus.PrpOffsetInvalid, []);
        }

        if (rest > 0 && rest <= Page)
        {
            return command.Prp2 % Page == 0 ? (NvmeStatus.Success, Joined(ranges, new DmaRange(command.Prp2, (ulong)rest))) : (NvmeStatus.PrpOffsetInvalid, []);
        }

        var status = rest == 0 ? NvmeStatus.Success : await FollowAsync(dma, command.Prp2, rest, ranges, stop);
        return (status, status == NvmeStatus.Success ? [.. ranges] : []);
    }

    private static async ValueTask<NvmeStatus> FollowAsync(IDmaPort dma, ulong list, int rest, List<DmaRange> ranges, CancellationToken stop)
    {
        while (rest > 0)
        {
            if (list % sizeof(ulong) != 0)
            {
                return NvmeStatus.PrpOffsetInvalid;
            }

            var pages = (rest + Page - 1) / Page;
            var room = (Page - (int)(list % Page)) / sizeof(ulong);
            var entries = new byte[Math.Min(pages, room) * sizeof(ulong)];
            if (await dma.ReadAsync(list, entries, cancellationToken: stop) is { IsDone: false } failed)
            {
                return StatusOf(failed);
            }

            var isLast = pages <= room;
            var used = (entries.Length / sizeof(ulong)) - (isLast ? 0 : 1);
            for (var i = 0; i < used; i++)
            {
                var page = Entry(entries, i);
                if (page % Page != 0)
                {
                    return NvmeStatus.PrpOffsetInvalid;
                }

                var bytes = Math.Min(rest, Page);
                Join(ranges, new DmaRange(page, (ulong)bytes));
                rest -= bytes;
            }

            // A list of one entry that leads to itself has no page, and would have no end.
            if (!isLast && used == 0 && Entry(entries, 0) == list)
            {
                return NvmeStatus.PrpOffsetInvalid;
            }

            list = isLast ? 0 : Entry(entries, used);
        }

        return NvmeStatus.Success;
    }

    /// <summary>What a command is answered whose access to memory was not made.</summary>
    public static NvmeStatus StatusOf(DmaResult result) => result.Status == DmaStatus.Aborted ? NvmeStatus.AbortRequested : NvmeStatus.DataTransferError;

    private static ulong Entry(byte[] entries, int index) => BinaryPrimitives.ReadUInt64LittleEndian(entries.AsSpan(index * sizeof(ulong)));

    private static DmaRange[] Joined(List<DmaRange> ranges, DmaRange next)
    {
        Join(ranges, next);
        return [.. ranges];
    }

    private static void Join(List<DmaRange> ranges, DmaRange next)
    {
        if (ranges[^1] is var last && unchecked(last.Iova + last.Length) == next.Iova && next.Iova != 0)
        {
            ranges[^1] = new DmaRange(last.Iova, last.Length + next.Length);
        }
        else
        {
            ranges.Add(next);
        }
    }
}
