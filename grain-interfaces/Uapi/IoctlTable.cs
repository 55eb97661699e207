using System.Runtime.InteropServices;
using static IommuFd.Uapi.IoctlDescriptor;

namespace IommuFd.Uapi;

// All commands of Linux 7.1: 21 from 0x80 on, and the selftest's at 0xA0. The numbers between them are unused but in the kernel's table,
// which a caller can observe: an unreadable argument is EFAULT there and ENOTTY outside.

/// <summary>The constant table of commands, indexed by the command's number.</summary>
public static class IoctlTable
{
    /// <summary>The ioctl type of iommufd, <c>';'</c>.</summary>
    public const byte Type = (byte)';';

    /// <summary>The first number of the table, <c>IOMMUFD_CMD_BASE</c>.</summary>
    public const int Base = 0x80;

    /// <summary>Numbers in the table, used or not.</summary>
    public const int Length = 0x21;

    private static readonly int MapFileField = (int)Marshal.OffsetOf<IommuIoasMapFile>(nameof(IommuIoasMapFile.Fd));

    private static readonly int TestIdField = (int)Marshal.OffsetOf<IommuTestCmd>(nameof(IommuTestCmd.Id));

    private static readonly int TestOpField = (int)Marshal.OffsetOf<IommuTestCmd>(nameof(IommuTestCmd.Op));

    private static readonly int TestUnion = (int)Marshal.OffsetOf<IommuTestCmd>(nameof(IommuTestCmd.Fields));

    // The buffers of IOMMU_TEST_CMD, at most one per op.
    private static readonly (IommuTestOp Op, UserBufferDescriptor Buffer)[] TestBuffers =
    [
        TestBuffer<IommuTestCheckMap>(IommuTestOp.MdCheckMap, nameof(IommuTestCheckMap.Uptr), UserBufferAccess.Probe, nameof(IommuTestCheckMap.Length)),
        TestBuffer<IommuTestCheckRefs>(IommuTestOp.MdCheckRefs, nameof(IommuTestCheckRefs.Uptr), UserBufferAccess.Probe, nameof(IommuTestCheckRefs.Length)),
        TestBuffer<IommuTestAccessPages>(IommuTestOp.AccessPages, nameof(IommuTestAccessPages.Uptr), UserBufferAccess.Probe, nameof(IommuTestAccessPages.Length)),
        TestBuffer<IommuTestAccessRw>(IommuTestOp.AccessRw, nameof(IommuTestAccessRw.Uptr), UserBufferAccess.Probe, nameof(IommuTestAccessRw.Length)),
        TestBuffer<IommuTestDirty>(IommuTestOp.Dirty, nameof(IommuTestDirty.Uptr), UserBufferAccess.In, nameof(IommuTestDirty.Length), nameof(IommuTestDirty.PageSize)),
    ];

    private static readonly IoctlDescriptor?[] Descriptors = Build();

    /// <summary>Every command, by ascending number.</summary>
    public static IEnumerable<IoctlDescriptor> All => Descriptors.OfType<IoctlDescriptor>();

    /// <summary>The descriptor of an existing command.</summary>
    /// <param name="command">The command.</param>
    /// <returns>Its descriptor.</returns>
    public static IoctlDescriptor Get(IommuCommand command)
        => Find((uint)command) ?? throw new ArgumentOutOfRangeException(nameof(command), command, "No such command.");

    /// <summary>The descriptor with a full ioctl number, if any: of this table, or of <see cref="VfioTable"/>.</summary>
    /// <param name="command">A full ioctl number: anything that a program may pass.</param>
    /// <returns>The descriptor; null if the kernel answers ENOTTY.</returns>
    public static IoctlDescriptor? Find(uint command)
        => !TryIndex(command, out var index) ? VfioTable.Find(command)
            : Descriptors[index] is { } descriptor && descriptor.Number == command ? descriptor
            : null;

    /// <summary>Whether an ioctl's number (its low byte) lies in the table, whatever its other bits.</summary>
    /// <param name="command">A full ioctl number.</param>
    /// <param name="index">The index in the table.</param>
    /// <returns>False if the kernel answers ENOTTY without reading the argument.</returns>
    public static bool TryIndex(uint command, out int index)
    {
        index = (int)(command & 0xFF) - Base;
        return (uint)index < Length;
    }

    /// <summary>The index of a selftest op's buffer among those of <see cref="IommuCommand.TestCmd"/>.</summary>
    /// <param name="op">The op.</param>
    /// <returns>The index; -1 for an op without a buffer.</returns>
    public static int TestBufferIndex(IommuTestOp op) => Array.FindIndex(TestBuffers, buffer => buffer.Op == op);

    private static IoctlDescriptor?[] Build()
    {
        IoctlDescriptor[] all =
        [
            Of<IommuDestroy>(IommuCommand.Destroy, "IOMMU_DESTROY", nameof(IommuDestroy.Id)),
            Of<IommuIoasAlloc>(IommuCommand.IoasAlloc, "IOMMU_IOAS_ALLOC", nameof(IommuIoasAlloc.OutIoasId)),
            Of<IommuIoasAllowIovas>(IommuCommand.IoasAllowIovas, "IOMMU_IOAS_ALLOW_IOVAS", nameof(IommuIoasAllowIovas.AllowedIovas),
                Buffer<IommuIoasAllowIovas>(nameof(IommuIoasAllowIovas.AllowedIovas), UserBufferAccess.In, nameof(IommuIoasAllowIovas.NumIovas), 16)),
            Of<IommuIoasCopy>(IommuCommand.IoasCopy, "IOMMU_IOAS_COPY", nameof(IommuIoasCopy.SrcIova)),
            Of<IommuIoasIovaRanges>(IommuCommand.IoasIovaRanges, "IOMMU_IOAS_IOVA_RANGES", nameof(IommuIoasIovaRanges.OutIovaAlignment),
                Buffer<IommuIoasIovaRanges>(nameof(IommuIoasIovaRanges.AllowedIovas), UserBufferAccess.Out, nameof(IommuIoasIovaRanges.NumIovas), 16)),
            Of<IommuIoasMap>(IommuCommand.IoasMap, "IOMMU_IOAS_MAP", nameof(IommuIoasMap.Iova),
                Buffer<IommuIoasMap>(nameof(IommuIoasMap.UserVa), UserBufferAccess.Probe, nameof(IommuIoasMap.Length))),
            Of<IommuIoasUnmap>(IommuCommand.IoasUnmap, "IOMMU_IOAS_UNMAP", nameof(IommuIoasUnmap.Length)),
            Of<IommuOption>(IommuCommand.Option, "IOMMU_OPTION", nameof(IommuOption.Val64)),
            Of<IommuVfioIoas>(IommuCommand.VfioIoas, "IOMMU_VFIO_IOAS", nameof(IommuVfioIoas.Reserved)),
            Of<IommuHwptAlloc>(IommuCommand.HwptAlloc, "IOMMU_HWPT_ALLOC", nameof(IommuHwptAlloc.Reserved),
                Buffer<IommuHwptAlloc>(nameof(IommuHwptAlloc.DataUptr), UserBufferAccess.In, nameof(IommuHwptAlloc.DataLen))),
            Of<IommuHwInfo>(IommuCommand.GetHwInfo, "IOMMU_GET_HW_INFO", nameof(IommuHwInfo.Reserved2),
                Buffer<IommuHwInfo>(nameof(IommuHwInfo.DataUptr), UserBufferAccess.Out, nameof(IommuHwInfo.DataLen))),
            Of<IommuHwptSetDirtyTracking>(IommuCommand.HwptSetDirtyTracking, "IOMMU_HWPT_SET_DIRTY_TRACKING", nameof(IommuHwptSetDirtyTracking.Reserved)),
            Of<IommuHwptGetDirtyBitmap>(IommuCommand.HwptGetDirtyBitmap, "IOMMU_HWPT_GET_DIRTY_BITMAP", nameof(IommuHwptGetDirtyBitmap.Data),
                Buffer<IommuHwptGetDirtyBitmap>(nameof(IommuHwptGetDirtyBitmap.Data), UserBufferAccess.Probe, UserBufferRule.BitmapWords, nameof(IommuHwptGetDirtyBitmap.Length), nameof(IommuHwptGetDirtyBitmap.PageSize)) with { Answer = UserBufferAnswer.Bytes }),
            Of<IommuHwptInvalidate>(IommuCommand.HwptInvalidate, "IOMMU_HWPT_INVALIDATE", nameof(IommuHwptInvalidate.Reserved),
                Buffer<IommuHwptInvalidate>(nameof(IommuHwptInvalidate.DataUptr), UserBufferAccess.In, UserBufferRule.Product, nameof(IommuHwptInvalidate.EntryLen), nameof(IommuHwptInvalidate.EntryNum))),
            Of<IommuFaultAlloc>(IommuCommand.FaultQueueAlloc, "IOMMU_FAULT_QUEUE_ALLOC", nameof(IommuFaultAlloc.OutFaultFd)),
            Of<IommuIoasMapFile>(IommuCommand.IoasMapFile, "IOMMU_IOAS_MAP_FILE", nameof(IommuIoasMapFile.Iova), [new UserFileDescriptor(MapFileField, IsActedOn: false)]),
            Of<IommuViommuAlloc>(IommuCommand.ViommuAlloc, "IOMMU_VIOMMU_ALLOC", nameof(IommuViommuAlloc.OutViommuId),
                Buffer<IommuViommuAlloc>(nameof(IommuViommuAlloc.DataUptr), UserBufferAccess.InOut, nameof(IommuViommuAlloc.DataLen))),
            Of<IommuVdeviceAlloc>(IommuCommand.VdeviceAlloc, "IOMMU_VDEVICE_ALLOC", nameof(IommuVdeviceAlloc.VirtId)),
            Of<IommuIoasChangeProcess>(IommuCommand.IoasChangeProcess, "IOMMU_IOAS_CHANGE_PROCESS", nameof(IommuIoasChangeProcess.Reserved)),
            Of<IommuVeventqAlloc>(IommuCommand.VeventqAlloc, "IOMMU_VEVENTQ_ALLOC", nameof(IommuVeventqAlloc.OutVeventqFd)),
            Of<IommuHwQueueAlloc>(IommuCommand.HwQueueAlloc, "IOMMU_HW_QUEUE_ALLOC", nameof(IommuHwQueueAlloc.Length)),
            Of<IommuTestCmd>(IommuCommand.TestCmd, "IOMMU_TEST_CMD", nameof(IommuTestCmd.Last), [AccessFile, new UserFileDescriptor(TestUnion, IsActedOn: false) { Selectors = [Selector(IommuTestOp.DmabufRevoke)] }],
                [.. TestBuffers.Select(buffer => buffer.Buffer)]),
        ];

        var table = new IoctlDescriptor?[Length];
        foreach (var descriptor in all)
        {
            table[((uint)descriptor.Command & 0xFF) - Base] = descriptor;
        }

        return table;
    }

    // Ops on an access carry its file descriptor in the field that is an object's id for all other ops.
    private static UserFileDescriptor AccessFile => new(TestIdField, IsActedOn: true)
    {
        Selectors =
        [
            Selector(IommuTestOp.AccessPages), Selector(IommuTestOp.DestroyAccessPages), Selector(IommuTestOp.AccessRw), Selector(IommuTestOp.AccessReplaceIoas),
        ],
    };

    private static UapiSelector Selector(IommuTestOp op) => new(TestOpField, (uint)op);

    // The length is a field in bytes, or with a size of pages one bit for each.
    private static (IommuTestOp Op, UserBufferDescriptor Buffer) TestBuffer<T>(IommuTestOp op, string pointer, UserBufferAccess access, string length, string? pageSize = null)
        where T : unmanaged
    {
        var bytes = Field<T>(length, TestUnion);
        var rule = pageSize is null ? new UserBufferLength(UserBufferRule.Factor, bytes) : new UserBufferLength(UserBufferRule.BitmapBytes, bytes, Field<T>(pageSize, TestUnion));
        var buffer = new UserBufferDescriptor($"{op}.uptr", Field<T>(pointer, TestUnion).Offset, access, rule, Selector(op));
        return (op, op == IommuTestOp.AccessRw ? buffer with { Answer = UserBufferAnswer.Pieces } : buffer);
    }
}
