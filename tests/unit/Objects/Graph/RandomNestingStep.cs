using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Dispatch;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Grains.Objects.EventQueues;
using IommuFd.Grains.Objects.Hwpts;
using IommuFd.Grains.Objects.NestedHwpts;
using IommuFd.Grains.Objects.Vdevices;
using IommuFd.Grains.Objects.Viommus;
using IommuFd.Grains.Selftest;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Objects.Graph;

/// <summary>
/// One random request about what a guest has: vIOMMUs and their parts, nested HWPTs, queues and their files, faults and events. Equal contexts and equal random
/// numbers make equal requests.
/// </summary>
internal sealed class RandomNestingStep(OpenContext context, ReferenceId driver, Random random)
{
    private const ulong Memory = 0x7F00_0000_0000;
    private const ulong Page = 4096;

    private readonly List<ObjectEntry> _live = [.. context.Objects.After(0)];

    /// <summary>Requests that make something.</summary>
    public (string Name, Errno Errno, object Reply) Make() => random.Next(14) switch
    {
        0 => Ioctl("FAULT_QUEUE_ALLOC", context.Run(IommuCommand.FaultQueueAlloc, new IommuFaultAlloc { Flags = Seldom(1) }, Writable())),
        1 or 2 => Ioctl("HWPT_ALLOC of a nest parent", context.Run(IommuCommand.HwptAlloc, new IommuHwptAlloc
        {
            DevId = Of(ObjectType.Device),
            PtId = Of(ObjectType.Ioas),
            Flags = (uint)(random.Next(4) == 0 ? IommuHwptAllocFlags.FaultIdValid | IommuHwptAllocFlags.Pasid : IommuHwptAllocFlags.NestParent),
            FaultId = Of(ObjectType.FaultQueue),
        })),
        3 or 4 => Ioctl("VIOMMU_ALLOC", AllocateViommu()),
        5 or 6 or 7 => Ioctl("VDEVICE_ALLOC", AllocateVdevice()),
        8 => Ioctl("VEVENTQ_ALLOC", AllocateVeventq()),
        9 or 10 => Ioctl("HW_QUEUE_ALLOC", AllocateHwQueue()),
        _ => Ioctl("HWPT_ALLOC of a nested HWPT", AllocateNested()),
    };

    /// <summary>Requests that use what there is.</summary>
    public (string Name, Errno Errno, object Reply) Use() => random.Next(14) switch
    {
        0 => Ioctl("HWPT_INVALIDATE", Invalidate()),
        1 or 2 => Fault(),
        3 => Event(),
        4 => File("read", target => Dispatch(target, new ReadFileRequest((ulong)random.Next(4) * 40, (ulong)random.Next(4) * 40))),
        5 => File("write", target => Dispatch(target, Response())),
        6 when random.Next(2) == 0 => Close(),
        7 => Mock(nameof(IommuTestOp.PasidAttach), IommuTestOp.PasidAttach, new IommuTestPasidAttach { Pasid = Pasid(), PtId = PasidPageTable() }),
        8 => Mock(nameof(IommuTestOp.PasidReplace), IommuTestOp.PasidReplace, new IommuTestPasidAttach { Pasid = Pasid(), PtId = PasidPageTable() }),
        9 => Mock(nameof(IommuTestOp.PasidDetach), IommuTestOp.PasidDetach, new IommuTestPasidDetach { Pasid = Pasid() }),
        10 => Ioctl(nameof(IommuTestOp.DevCheckCache), context.Run(IommuCommand.TestCmd, new IommuTestCmd
        {
            Op = (uint)IommuTestOp.DevCheckCache,
            Id = Of(ObjectType.Device),
            Fields = IommuTestCmdUnion.Of(new IommuTestCheckDevCache { Id = (uint)random.Next(5), Cache = random.Next(2) == 0 ? 0 : 0xBADDADU }),
        })),
        _ => AttachToGuest(),
    };

    private IoctlReply AllocateViommu()
    {
        var parent = Choose<HwptPagingEntry>(hwpt => hwpt.Flags.HasFlag(IommuHwptAllocFlags.NestParent));
        var device = Choose<DeviceEntry>(device => parent is null || parent.Iommu.Split(':')[0] == device.Device.Iommu);
        var isVirtual = device?.Device.Iommu == DeviceDescription.VirtualIommu;
        var hasData = random.Next(3) == 0;
        var cmd = new IommuViommuAlloc
        {
            Size = (uint)Unsafe.SizeOf<IommuViommuAlloc>(),
            Flags = Seldom(1),
            Type = (uint)(isVirtual ? IommuViommuType.ArmSmmuv3 : IommuViommuType.Selftest),
            DevId = device?.Id.Value ?? Any(),
            HwptId = parent?.Id.Value ?? Any(),
            DataLen = hasData ? 24U : 0,
            DataUptr = hasData ? Memory : 0,
        };
        return context.Run(TestDevices.Request(
            IommuCommand.ViommuAlloc, cmd, new UserBuffer
            {
                Address = cmd.DataUptr,
                Length = cmd.DataLen,
                ReadableBytes = cmd.DataLen,
                WritableBytes = hasData ? cmd.DataLen - Seldom(1) : 0,
                Content = new byte[cmd.DataLen],
            }));
    }

    // Mostly a device behind the vIOMMU that has no vDevice yet.
    private IoctlReply AllocateVdevice()
    {
        var viommu = Choose<ViommuEntry>();
        var device = Choose<DeviceEntry>(device => device.Vdevice is null && viommu?.Iommu.Split(':')[0] == device.Device.Iommu);
        return context.Run(IommuCommand.VdeviceAlloc, new IommuVdeviceAlloc { ViommuId = viommu?.Id.Value ?? Any(), DevId = device?.Id.Value ?? Any(), VirtId = (ulong)random.Next(5) + 1 - Seldom(1) });
    }

    // Mostly of the kind that the vIOMMU has events of.
    private IoctlReply AllocateVeventq()
    {
        var viommu = Choose<ViommuEntry>();
        var isSmmu = viommu?.ViommuType == IommuViommuType.ArmSmmuv3 ^ random.Next(8) == 0;
        return context.Run(
            IommuCommand.VeventqAlloc,
            new IommuVeventqAlloc
            {
                Flags = Seldom(1),
                ViommuId = viommu?.Id.Value ?? Any(),
                Type = (uint)(isSmmu ? IommuVeventqType.ArmSmmuv3 : IommuVeventqType.Selftest),
                VeventqDepth = (uint)random.Next(4),
            },
            Writable());
    }

    // The memory is mostly mapped where the IOAS has an area.
    private IoctlReply AllocateHwQueue()
    {
        var viommu = Choose<ViommuEntry>();
        var areas = viommu is null ? [] : context.IoasState(viommu.Hwpt.Ioas.Id.Value).Areas;
        return context.Run(IommuCommand.HwQueueAlloc, new IommuHwQueueAlloc
        {
            Flags = Seldom(1),
            ViommuId = viommu?.Id.Value ?? Any(),
            Type = (uint)IommuHwQueueType.Selftest,
            Index = (uint)random.Next(3),
            NestingParentIova = areas.Length > 0 && random.Next(8) != 0 ? areas[random.Next(areas.Length)].Range.Start : TestDevices.ApertureStart,
            Length = Page * (ulong)random.Next(3) / 2,
        });
    }

    private IoctlReply AllocateNested()
    {
        var @base = random.Next(3) != 0 ? Choose<ViommuEntry>()?.Id.Value : Choose<HwptPagingEntry>(hwpt => hwpt.Flags.HasFlag(IommuHwptAllocFlags.NestParent))?.Id.Value;
        var reports = random.Next(2) == 0 ? IommuHwptAllocFlags.FaultIdValid : IommuHwptAllocFlags.None;
        var device = Choose<DeviceEntry>();
        var isVirtual = device?.Device.Iommu == DeviceDescription.VirtualIommu;
        var bytes = isVirtual ? UapiStruct.ToBytes(new IommuHwptArmSmmuv3 { Ste0 = random.Next(8) == 0 ? 7UL : 0xB }) : UapiStruct.ToBytes(new IommuHwptSelftest { Iotlb = 7 });
        var cmd = new IommuHwptAlloc
        {
            Size = (uint)Unsafe.SizeOf<IommuHwptAlloc>(),
            Flags = (uint)(reports | (IommuHwptAllocFlags)(random.Next(2) * (int)IommuHwptAllocFlags.Pasid)),
            DevId = device?.Id.Value ?? Any(),
            PtId = @base ?? Any(),
            DataType = (uint)(isVirtual ? IommuHwptDataType.ArmSmmuv3 : IommuHwptDataType.Selftest),
            DataLen = (uint)bytes.Length,
            DataUptr = Memory,
            FaultId = Of(ObjectType.FaultQueue),
        };
        return context.Run(TestDevices.Request(
            IommuCommand.HwptAlloc, cmd, new UserBuffer { Address = Memory, Length = cmd.DataLen, ReadableBytes = cmd.DataLen, Content = bytes }));
    }

    private IoctlReply Invalidate()
    {
        var viommu = random.Next(2) == 0 ? Choose<ViommuEntry>() : null;
        var bytes = viommu is null
            ? UapiStruct.ToBytes(new IommuHwptInvalidateSelftest { Flags = (uint)random.Next(2), IotlbId = (uint)random.Next(5) })
            : UapiStruct.ToBytes(new IommuViommuInvalidateSelftest { Flags = (uint)random.Next(2), VdevId = (uint)random.Next(5), CacheId = (uint)random.Next(4) });
        var cmd = new IommuHwptInvalidate
        {
            Size = (uint)Unsafe.SizeOf<IommuHwptInvalidate>(),
            HwptId = viommu?.Id.Value ?? Of(ObjectType.HwptNested),
            DataUptr = Memory,
            DataType = (uint)IommuHwptInvalidateDataType.Selftest,
            EntryLen = (uint)bytes.Length,
            EntryNum = 1,
        };
        return context.Run(TestDevices.Request(
            IommuCommand.HwptInvalidate, cmd, new UserBuffer { Address = Memory, Length = (ulong)bytes.Length, ReadableBytes = (ulong)bytes.Length, Content = bytes }));
    }

    // Half of the faults come from a driver, half from the selftest; mostly from a device whose page table has a queue.
    private (string Name, Errno Errno, object Reply) Fault()
    {
        var device = Choose<DeviceEntry>(device => device.AttachedPasids.Any(pasid => device.HwptAt(pasid)!.FaultQueue is not null));
        if (random.Next(2) == 0)
        {
            return OfDriver(device, id => new ReportFaultsRequest(id, [.. Enumerable.Range(0, random.Next(4)).Select(i => new PageFault((ulong)i * Page, IommuPgfaultPerm.Read, Group: 3, Pasid: 0))]));
        }

        return Ioctl(nameof(IommuTestOp.TriggerIopf), context.Run(IommuCommand.TestCmd, new IommuTestCmd
        {
            Op = (uint)IommuTestOp.TriggerIopf,
            Fields = IommuTestCmdUnion.Of(new IommuTestTriggerIopf { DevId = device?.Id.Value ?? Any(), Pasid = Pasid(), Grpid = 2, Perm = 1, Addr = Page }),
        }));
    }

    private (string Name, Errno Errno, object Reply) Event()
    {
        var device = Choose<DeviceEntry>(
            device => device.Attachment is { VirtId: > 0 } attachment && context.Objects.Find<ViommuEntry>(attachment.Viommu.Value) is { Veventqs.Count: > 0 });
        return device?.DriverHold!.Owner is ContextReference
            ? OfDriver(device, id => new ReportEventRequest(id, new byte[random.Next(4) == 0 ? 31 : 32]))
            : Ioctl(nameof(IommuTestOp.TriggerVevent), context.Run(IommuCommand.TestCmd, new IommuTestCmd
            {
                Op = (uint)IommuTestOp.TriggerVevent,
                Fields = IommuTestCmdUnion.Of(new IommuTestTriggerVevent { DevId = device?.Id.Value ?? Any() }),
            }));
    }

    // A device with a vDevice goes to a page table of its vIOMMU.
    private (string Name, Errno Errno, object Reply) AttachToGuest()
    {
        if (Choose<VdeviceEntry>(vdevice => _live.Exists(entry => entry is HwptNestedEntry nested && nested.Viommu == vdevice.Viommu)) is not { } vdevice)
        {
            return Mock(nameof(IommuTestOp.MockDomainReplace), IommuTestOp.MockDomainReplace, new IommuTestMockDomainReplace { PtId = Of(ObjectType.HwptNested) });
        }

        var hwpt = Choose<HwptNestedEntry>(nested => nested.Viommu == vdevice.Viommu)?.Id.Value ?? Any();
        return vdevice.Device.DriverHold!.Owner is ObjectEntry selftest
            ? Ioctl(nameof(IommuTestOp.MockDomainReplace), context.TryReplace(selftest.Id.Value, hwpt))
            : vdevice.Device.Hwpt is null ^ random.Next(8) == 0
            ? OfDriver(vdevice.Device, id => new AttachDeviceRequest(id, new ObjectId(hwpt)))
            : OfDriver(vdevice.Device, id => new ReplaceDeviceRequest(id, new ObjectId(hwpt)));
    }

    private WriteFileRequest Response()
    {
        IommuHwptPageResponse[] responses = [.. Enumerable.Range(0, random.Next(3)).Select(_ => new IommuHwptPageResponse { Cookie = (uint)random.Next(4), Code = (uint)random.Next(3) })];
        var bytes = MemoryMarshal.AsBytes(responses.AsSpan()).ToArray();
        return new WriteFileRequest((ulong)bytes.Length, bytes);
    }

    private FileReply Dispatch(FileTarget target, FileRequest request)
        => Now(FileDispatcher.DispatchAsync(new IoctlScope(context.Model, context.ObjectGrains), target, request), $"{request}");

    private (string Name, Errno Errno, object Reply) File(string what, Func<FileTarget, FileReply> run)
    {
        var files = Files();
        var (reference, queue) = files.Count == 0 ? default : files[random.Next(files.Count)];
        var target = queue is null
            ? new FileTarget(context.Key, driver, ObjectType.FaultQueue, new ObjectId(Any()))
            : new FileTarget(context.Key, reference.Id, queue.Type, queue.Id);
        var reply = run(target);
        return (what, reply.Errno, reply);
    }

    private (string Name, Errno Errno, object Reply) Close()
    {
        var files = Files();
        if (files.Count == 0)
        {
            return Use();
        }

        var errno = Now(ContextOperations.PutAsync(new IoctlScope(context.Model, context.ObjectGrains), files[random.Next(files.Count)].Reference.Id), "closing a file");
        return ("close", errno, errno);
    }

    private List<(ContextReference Reference, ObjectEntry Queue)> Files()
        => [.. context.Model.References.OrderBy(reference => reference.Id.Value).Select(reference => (reference, reference.Held().Select(hold => hold.Target).OfType<EventQueueEntry>().FirstOrDefault()))
            .Where(file => file.Item2 is not null && file.reference.Name.StartsWith("file of", StringComparison.Ordinal)).Select(file => (file.reference, (ObjectEntry)file.Item2!))];

    private (string Name, Errno Errno, object Reply) Mock<T>(string name, IommuTestOp op, T fields)
        where T : unmanaged
        => Ioctl(name, context.Run(IommuCommand.TestCmd, new IommuTestCmd { Op = (uint)op, Id = Choose<SelftestEntry>(selftest => selftest.Device!.Device.PasidWidth > 0)?.Id.Value ?? Any(), Fields = IommuTestCmdUnion.Of(fields) }));

    private (string Name, Errno Errno, object Reply) OfDriver(DeviceEntry? device, Func<ObjectId, DriverRequest> make)
    {
        var request = make(device?.Id ?? new ObjectId(Any()));
        var reply = context.Ask((device?.DriverHold?.Owner as ContextReference)?.Id ?? driver, request);
        return (request.GetType().Name, reply.Errno, reply);
    }

    // Mostly one that suits, if there is one.
    private T? Choose<T>(Func<T, bool>? suits = null)
        where T : ObjectEntry
    {
        var all = _live.OfType<T>().ToList();
        var suiting = suits is null ? all : all.FindAll(entry => suits(entry));
        var from = suiting.Count > 0 && random.Next(8) != 0 ? suiting : all;
        return from.Count > 0 && random.Next(12) != 0 ? from[random.Next(from.Count)] : null;
    }

    private uint Of(ObjectType type)
    {
        var fitting = _live.FindAll(entry => entry.Type == type);
        return fitting.Count > 0 && random.Next(8) != 0 ? fitting[random.Next(fitting.Count)].Id.Value : Any();
    }

    private uint Any() => _live.Count == 0 ? 1 : _live[random.Next(_live.Count)].Id.Value;

    private uint PasidPageTable() => Choose<HwptEntry>(hwpt => hwpt.Flags.HasFlag(IommuHwptAllocFlags.Pasid))?.Id.Value ?? Any();

    // PASID 1024 is the one whose every second attachment fails.
    private uint Pasid() => random.Next(4) == 0 ? 1024U : (uint)random.Next(4);

    private uint Seldom(uint value) => random.Next(20) == 0 ? value : 0;

    private uint? Writable() => random.Next(12) == 0 ? 4U : null;

    private static T Now<T>(ValueTask<T> running, string what)
    {
        Expect.That(running.IsCompleted, $"It took time: {what}.");
        return running.GetAwaiter().GetResult();
    }

    private static (string Name, Errno Errno, object Reply) Ioctl(string name, IoctlReply reply) => (name, reply.Errno, reply);
}
