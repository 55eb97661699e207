using IommuFd.Devices.Pci;
using IommuFd.Uapi;

namespace IommuFd.Devices.Vfio;

/// <summary>The regions of a device file: reads, writes and mappings. In the function's loop, but for mappings, which look at what never changes.</summary>
internal static class VfioRegions
{
    /// <summary>Where the index begins in a file's offset (<c>VFIO_PCI_OFFSET_SHIFT</c>).</summary>
    public const int OffsetShift = 40;

    private const ulong OffsetMask = (1UL << OffsetShift) - 1;
    private const int PageBytes = 4096;
    private const int MsixEntryBytes = 16;

    /// <summary>Whether an offset is in the config space.</summary>
    public static bool IsConfig(ulong offset) => Locate(offset).Index == VfioPciRegion.Config;

    public static VfioReply Read(PciFunction function, ulong offset, Span<byte> destination)
    {
        var (index, position) = Locate(offset);
        if (index >= VfioPciRegion.Count)
        {
            return new VfioReply(Errno.EINVAL);
        }

        if (destination.IsEmpty)
        {
            return default;
        }

        if (index == VfioPciRegion.Config)
        {
            if (!IsInConfig(position, destination.Length))
            {
                return new VfioReply(Errno.EFAULT);
            }

            function.Config.Read((int)position, destination);
            return new VfioReply(Errno.None, destination.Length);
        }

        if (Check(function, index, position, destination.Length, out var bar, out var length) is var errno && errno != Errno.None)
        {
            return new VfioReply(errno);
        }

        function.ReadBar(bar!.Index, (int)position, destination[..length]);
        HideMsixTable(function, bar, (int)position, destination[..length]);
        return new VfioReply(Errno.None, length);
    }

    public static VfioReply Write(PciFunction function, ulong offset, ReadOnlySpan<byte> source)
    {
        var (index, position) = Locate(offset);
        if (index >= VfioPciRegion.Count)
        {
            return new VfioReply(Errno.EINVAL);
        }

        if (source.IsEmpty)
        {
            return default;
        }

        if (index == VfioPciRegion.Config)
        {
            if (!IsInConfig(position, source.Length))
            {
                return new VfioReply(Errno.EFAULT);
            }

            WriteConfig(function, (int)position, source);
            return new VfioReply(Errno.None, source.Length);
        }

        if (Check(function, index, position, source.Length, out var bar, out var length) is var errno && errno != Errno.None)
        {
            return new VfioReply(errno);
        }

        // The table is the driver's: what programs write to it is dropped.
        var skipped = bar!.Index == PciFunction.MsixBar ? Math.Clamp((function.Interrupts.Count * MsixEntryBytes) - (int)position, 0, length) : 0;
        if (skipped < length)
        {
            function.WriteBar(bar.Index, (int)position + skipped, source[skipped..length]);
        }

        return new VfioReply(Errno.None, length);
    }

    public static VfioMapping Map(PciFunction function, ulong offset, ulong length, bool isShared)
    {
        var (index, position) = Locate(offset);
        if (!isShared || index >= VfioPciRegion.Rom || function.Bar((int)index) is not { } bar || length == 0 || position % PageBytes != 0)
        {
            return new VfioMapping(Errno.EINVAL);
        }

        var end = position + (((UInt128)length + (PageBytes - 1)) / PageBytes * PageBytes);
        return bar.Mappable.Any(area => position >= (ulong)area.Offset && end <= (ulong)(area.Offset + area.Length))
            ? new VfioMapping(Errno.None, bar.Memory, (int)position)
            : new VfioMapping(Errno.EINVAL);
    }

    private static (VfioPciRegion Index, ulong Position) Locate(ulong offset) => ((VfioPciRegion)(offset >> OffsetShift), offset & OffsetMask);

    private static bool IsInConfig(ulong position, int length) => position < ConfigSpace.Length && (ulong)length <= ConfigSpace.Length - position;

    // There is neither a ROM nor VGA.
    private static Errno Check(PciFunction function, VfioPciRegion index, ulong position, int count, out PciBar? bar, out int length)
    {
        (bar, length) = (index < VfioPciRegion.Rom ? function.Bar((int)index) : null, 0);
        if (bar is null || position >= (ulong)bar.Length)
        {
            return Errno.EINVAL;
        }

        length = (int)Math.Min((ulong)count, (ulong)bar.Length - position);
        return function.IsMemoryEnabled ? Errno.None : Errno.EIO;
    }

    // Messages are set up by SET_IRQS. MSI-X is not for programs at all; the enable bit of MSI stays as SET_IRQS has left it.
    private static void WriteConfig(PciFunction function, int position, ReadOnlySpan<byte> source)
    {
        var (msix, msi) = (function.Config.Find(PciCapability.Msix), function.Config.Find(PciCapability.Msi));
        Span<byte> bytes = stackalloc byte[1];
        for (var i = 0; i < source.Length; i++)
        {
            var at = position + i;
            if (at >= msix && at < msix + 12)
            {
                continue;
            }

            bytes[0] = source[i];
            if (at == msi + PciRegister.MsiControl)
            {
                bytes[0] = (byte)((bytes[0] & ~PciRegister.MsiEnable) | (function.Interrupts.Mode == PciInterruptMode.Msi ? bytes[0] & PciRegister.MsiEnable : 0));
            }

            function.WriteConfig(at, bytes);
        }
    }

    private static void HideMsixTable(PciFunction function, PciBar bar, int position, Span<byte> bytes)
    {
        if (bar.Index == PciFunction.MsixBar)
        {
            bytes[..Math.Clamp((function.Interrupts.Count * MsixEntryBytes) - position, 0, bytes.Length)].Fill(0xFF);
        }
    }
}
