using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Dispatch;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Uapi;

namespace IommuFd.UnitTests.Support;

/// <summary>Devices, page tables and accesses of an <see cref="OpenContext"/>, as IOMMU_TEST_CMD and drivers create them.</summary>
internal static class TestDevices
{
    /// <summary>The first IOVA that the selftest's IOMMU can map.</summary>
    public const ulong ApertureStart = 1 << 24;

    /// <summary>The last one.</summary>
    public const ulong ApertureLast = (1UL << 31) - 1;

    private const ulong Memory = 0x7F00_0000_0000;

    public static uint AllocateIoas(this OpenContext context) => context.RunOk(IommuCommand.IoasAlloc, default(IommuIoasAlloc)).OutIoasId;

    /// <summary>MOCK_DOMAIN, or MOCK_DOMAIN_FLAGS if flags are given.</summary>
    public static IoctlReply TryMockDomain(this OpenContext context, uint pageTable, IommuTestDeviceFlags? flags = null, uint? writable = null)
        => context.Run(
            IommuCommand.TestCmd,
            new IommuTestCmd
            {
                Op = (uint)(flags is null ? IommuTestOp.MockDomain : IommuTestOp.MockDomainFlags),
                Id = pageTable,
                Fields = IommuTestCmdUnion.Of(new IommuTestMockDomain { DevFlags = (uint)(flags ?? 0) }),
            },
            writable);

    public static IommuTestMockDomain MockDomain(this OpenContext context, uint pageTable, IommuTestDeviceFlags? flags = null)
        => Fields<IommuTestMockDomain>(context.TryMockDomain(pageTable, flags), $"MOCK_DOMAIN on {pageTable}");

    public static IoctlReply TryReplace(this OpenContext context, uint selftest, uint pageTable) => context.Run(
        IommuCommand.TestCmd,
        new IommuTestCmd
        {
            Op = (uint)IommuTestOp.MockDomainReplace,
            Id = selftest,
            Fields = IommuTestCmdUnion.Of(new IommuTestMockDomainReplace { PtId = pageTable }),
        });

    /// <summary>Replaces a mock device's page table; returns the HWPT.</summary>
    public static uint Replace(this OpenContext context, uint selftest, uint pageTable)
        => Fields<IommuTestMockDomainReplace>(context.TryReplace(selftest, pageTable), $"replacing what {selftest} is attached to by {pageTable}").PtId;

    public static IoctlReply TryAllocateHwpt(this OpenContext context, uint device, uint ioas, IommuHwptAllocFlags flags = IommuHwptAllocFlags.None)
        => context.Run(IommuCommand.HwptAlloc, new IommuHwptAlloc { DevId = device, PtId = ioas, Flags = (uint)flags });

    public static uint AllocateHwpt(this OpenContext context, uint device, uint ioas, IommuHwptAllocFlags flags = IommuHwptAllocFlags.None)
    {
        var reply = context.TryAllocateHwpt(device, ioas, flags);
        Expect.Equal(Errno.None, reply.Errno, $"HWPT_ALLOC for {device} on {ioas} ({reply.Diagnostic})");
        return UapiStruct.Read<IommuHwptAlloc>(reply.Argument).OutHwptId;
    }

    public static IoctlReply TryDestroy(this OpenContext context, uint id) => context.Run(IommuCommand.Destroy, new IommuDestroy { Id = id });

    public static void Destroy(this OpenContext context, uint id)
    {
        var reply = context.TryDestroy(id);
        Expect.Equal(Errno.None, reply.Errno, $"DESTROY of {id} ({reply.Diagnostic})");
    }

    /// <summary>Maps present memory at a fixed IOVA.</summary>
    public static IoctlReply TryMap(this OpenContext context, uint ioas, ulong iova, ulong length, bool isThere = true, bool writeable = true)
    {
        var cmd = new IommuIoasMap
        {
            Size = 40,
            Flags = (uint)(IommuIoasMapFlags.FixedIova | IommuIoasMapFlags.Readable | (writeable ? IommuIoasMapFlags.Writeable : 0)),
            IoasId = ioas,
            UserVa = Memory + iova,
            Length = length,
            Iova = iova,
        };
        var bytes = isThere ? length : 0;
        return context.Run(new IoctlRequest
        {
            Command = (uint)IommuCommand.IoasMap,
            Argument = UapiStruct.ToBytes(in cmd),
            WritableBytes = 40,
            Buffers = [new UserBuffer { Address = cmd.UserVa, Length = length, ReadableBytes = bytes, WritableBytes = bytes }],
        });
    }

    public static void Map(this OpenContext context, uint ioas, ulong iova, ulong length)
    {
        var reply = context.TryMap(ioas, iova, length);
        Expect.Equal(Errno.None, reply.Errno, $"mapping 0x{length:X} bytes at 0x{iova:X} of IOAS {ioas} ({reply.Diagnostic})");
    }

    public static IoctlReply TryUnmap(this OpenContext context, uint ioas, ulong iova, ulong length)
        => context.Run(IommuCommand.IoasUnmap, new IommuIoasUnmap { IoasId = ioas, Iova = iova, Length = length });

    /// <summary>Maps a page or more at an automatic IOVA.</summary>
    public static IoctlReply TryMapAnywhere(this OpenContext context, uint ioas, ulong length) => context.Run(
        IommuCommand.IoasMap,
        new IommuIoasMap { Flags = (uint)(IommuIoasMapFlags.Readable | IommuIoasMapFlags.Writeable), IoasId = ioas, UserVa = Memory, Length = length });

    /// <summary>The same, which must succeed; returns the IOVA.</summary>
    public static ulong MapAnywhere(this OpenContext context, uint ioas, ulong length)
    {
        var reply = context.TryMapAnywhere(ioas, length);
        Expect.Equal(Errno.None, reply.Errno, $"mapping 0x{length:X} bytes of IOAS {ioas} anywhere ({reply.Diagnostic})");
        return UapiStruct.Read<IommuIoasMap>(reply.Argument).Iova;
    }

    /// <summary>Allows automatic IOVAs in these ranges only; none allows everything.</summary>
    public static void AllowIovas(this OpenContext context, uint ioas, params IovaRange[] ranges)
    {
        var content = ranges.SelectMany(range => UapiStruct.ToBytes(new IommuIovaRange { Start = range.Start, Last = range.Last })).ToArray();
        var cmd = new IommuIoasAllowIovas { Size = 24, IoasId = ioas, NumIovas = (uint)ranges.Length };
        context.RunOk0(Request(IommuCommand.IoasAllowIovas, cmd, new UserBuffer { Length = (ulong)content.Length, ReadableBytes = (ulong)content.Length, Content = content }));
    }

    /// <summary>IOMMU_TEST_OP_DIRTY; returns how many bits were set.</summary>
    public static ulong MarkDirty(this OpenContext context, uint hwpt, ulong iova, ulong length, ulong pageSize, byte[] bitmap)
    {
        var fields = new IommuTestDirty { Iova = iova, Length = length, PageSize = pageSize, Uptr = Memory };
        var cmd = new IommuTestCmd { Size = 72, Op = (uint)IommuTestOp.Dirty, Id = hwpt, Fields = IommuTestCmdUnion.Of(fields) };
        var bits = new UserBuffer
        {
            Index = (byte)IoctlTable.TestBufferIndex(IommuTestOp.Dirty),
            Length = (ulong)bitmap.Length,
            ReadableBytes = (ulong)bitmap.Length,
            Content = bitmap,
        };
        return Fields<IommuTestDirty>(context.Run(Request(IommuCommand.TestCmd, cmd, bits)), $"DIRTY of HWPT {hwpt}").OutNrDirty;
    }

    /// <summary>GET_DIRTY_BITMAP; returns the bitmap's bytes.</summary>
    public static byte[] ReadDirty(this OpenContext context, uint hwpt, ulong iova, ulong length, ulong pageSize, int bytes)
    {
        var reply = context.Run(IommuCommand.HwptGetDirtyBitmap, new IommuHwptGetDirtyBitmap { HwptId = hwpt, Iova = iova, Length = length, PageSize = pageSize });
        Expect.Equal(Errno.None, reply.Errno, $"GET_DIRTY_BITMAP of HWPT {hwpt} ({reply.Diagnostic})");
        var bitmap = new byte[bytes];
        foreach (var piece in reply.Buffers ?? [])
        {
            Expect.That(piece.IsOr, "The dirty bitmap replaces the caller's bits.");
            piece.Content.CopyTo(bitmap, (int)piece.Address);
        }

        return bitmap;
    }

    /// <summary>Runs an ioctl that must succeed and whose reply is ignored.</summary>
    public static void RunOk0<T>(this OpenContext context, IommuCommand command, T argument)
        where T : unmanaged
    {
        var reply = context.Run(command, argument);
        Expect.Equal(Errno.None, reply.Errno, $"{command} ({reply.Diagnostic})");
    }

    /// <summary>Runs a driver's request.</summary>
    public static DriverReply Ask(this OpenContext context, ReferenceId driver, DriverRequest request)
    {
        var reply = DriverDispatcher.DispatchAsync(new IoctlScope(context.Model, context.ObjectGrains), driver, request).AsTask();
        Expect.That(reply.IsCompleted, $"{request} did not answer at once.");
        return reply.GetAwaiter().GetResult();
    }

    /// <summary>Runs a driver's request that must succeed; returns the id.</summary>
    public static ObjectId AskOk(this OpenContext context, ReferenceId driver, DriverRequest request)
    {
        var reply = context.Ask(driver, request);
        Expect.Equal(Errno.None, reply.Errno, $"{request} ({reply.Diagnostic})");
        return reply.Id;
    }

    /// <summary>Binds a device for a driver.</summary>
    public static ObjectId Bind(this OpenContext context, ReferenceId driver, string name, string? group = null, params IovaRange[] reserved)
        => context.AskOk(driver, new BindDeviceRequest(new DeviceDescription { Name = name, Group = group, ReservedRegions = reserved }));

    /// <summary>One object of each kind: a mock device of a guest, with the first 16 pages of the aperture mapped.</summary>
    public static Guest Guest(this OpenContext context)
    {
        var ioas = context.AllocateIoas();
        context.Map(ioas, ApertureStart, 16 * 4096);
        var mock = context.MockDomain(ioas);
        var parent = context.AllocateHwpt(mock.OutIdevId, ioas, IommuHwptAllocFlags.NestParent);
        var faults = context.RunOk(IommuCommand.FaultQueueAlloc, default(IommuFaultAlloc)).OutFaultId;
        var viommu = context.RunOk(
            IommuCommand.ViommuAlloc, new IommuViommuAlloc { Type = (uint)IommuViommuType.Selftest, DevId = mock.OutIdevId, HwptId = parent }).OutViommuId;
        var vdevice = context.RunOk(IommuCommand.VdeviceAlloc, new IommuVdeviceAlloc { ViommuId = viommu, DevId = mock.OutIdevId, VirtId = 0x99 }).OutVdeviceId;
        var events = context.RunOk(IommuCommand.VeventqAlloc, new IommuVeventqAlloc { ViommuId = viommu, Type = (uint)IommuVeventqType.Selftest, VeventqDepth = 2 }).OutVeventqId;
        var queue = context.RunOk(
            IommuCommand.HwQueueAlloc,
            new IommuHwQueueAlloc { ViommuId = viommu, Type = (uint)IommuHwQueueType.Selftest, NestingParentIova = ApertureStart, Length = 4096 }).OutHwQueueId;
        return new Guest(ioas, mock, parent, faults, viommu, vdevice, events, queue, context.AllocateNested(mock.OutIdevId, viommu, faults));
    }

    /// <summary>Allocates a nested HWPT of the selftest's IOMMU, whose page faults go to a queue; 0 for none.</summary>
    public static uint AllocateNested(this OpenContext context, uint device, uint @base, uint faults = 0)
    {
        var content = UapiStruct.ToBytes(new IommuHwptSelftest { Iotlb = 7 });
        var cmd = new IommuHwptAlloc
        {
            Size = 48,
            Flags = (uint)(faults == 0 ? IommuHwptAllocFlags.None : IommuHwptAllocFlags.FaultIdValid),
            DevId = device,
            PtId = @base,
            DataType = (uint)IommuHwptDataType.Selftest,
            DataLen = (uint)content.Length,
            DataUptr = Memory,
            FaultId = faults,
        };
        var bytes = (ulong)content.Length;
        var reply = context.Run(Request(IommuCommand.HwptAlloc, cmd, new UserBuffer { Address = Memory, Length = bytes, ReadableBytes = bytes, Content = content }));
        Expect.Equal(Errno.None, reply.Errno, $"HWPT_ALLOC for {device}, nested on {@base} ({reply.Diagnostic})");
        return UapiStruct.Read<IommuHwptAlloc>(reply.Argument).OutHwptId;
    }

    /// <summary>The state of an IOAS whose grain was called.</summary>
    public static IoasState IoasState(this OpenContext context, uint ioas)
    {
        var state = context.ObjectGrains.InspectAsync(context.Objects.Find(ioas)!, new StatePage(0, IoctlLimits.MaxInspectionPage)).AsTask();
        Expect.That(state.IsCompleted, $"IOAS {ioas} did not show its state at once.");
        return (IoasState)state.Result.State!;
    }

    /// <summary>The HWPT that a device is attached to; 0 for none.</summary>
    public static uint HwptOf(this OpenContext context, uint device) => context.Objects.Find<DeviceEntry>(device)!.Hwpt?.Id.Value ?? 0;

    /// <summary>Describes everything that attaching may change: the table, and every IOAS.</summary>
    public static string FullSnapshot(this OpenContext context)
        => context.Snapshot() + string.Concat(context.Objects.After(0).Where(entry => entry.Type == ObjectType.Ioas).Select(entry =>
        {
            var state = context.IoasState(entry.Id.Value);
            return $"\nIOAS {entry.Id}: {state with { Areas = [], Reserved = [], Allowed = [] }} areas [{string.Join(' ', state.Areas.Select(area => area.Range))}]"
                + $" reserved [{string.Join(' ', state.Reserved)}]";
        }));

    /// <summary>An ioctl with one buffer.</summary>
    public static IoctlRequest Request<T>(IommuCommand command, T argument, UserBuffer buffer)
        where T : unmanaged
    {
        var bytes = UapiStruct.ToBytes(in argument);
        return new IoctlRequest { Command = (uint)command, Argument = bytes, WritableBytes = (uint)bytes.Length, Buffers = [buffer] };
    }

    private static void RunOk0(this OpenContext context, IoctlRequest request)
    {
        var reply = context.Run(request);
        Expect.Equal(Errno.None, reply.Errno, $"{(IommuCommand)request.Command} ({reply.Diagnostic})");
    }

    private static T Fields<T>(IoctlReply reply, string what)
        where T : unmanaged
    {
        Expect.Equal(Errno.None, reply.Errno, $"{what} ({reply.Diagnostic})");
        return UapiStruct.Read<IommuTestCmd>(reply.Argument).Fields.As<T>();
    }
}
