using System.Runtime.InteropServices;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Dispatch;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Objects.Ioas;

/// <summary>Accesses of devices: what they are translated to, what they make dirty, and what becomes of faults.</summary>
public sealed class TranslationTests
{
    private const ulong Base = TestDevices.ApertureStart;
    private const ulong Page = 4096;
    private const ulong IommuPage = 2048;
    private const ulong Memory = 0x7F00_0000_0000;

    private readonly OpenContext _context = new();
    private readonly ReferenceId _driver;
    private readonly uint _ioas;

    public TranslationTests()
    {
        _driver = _context.Driver();
        _ioas = _context.AllocateIoas();
    }

    [Fact]
    public void Ranges_are_translated_to_the_memory_behind_them_in_their_order()
    {
        _context.Map(_ioas, Base, 2 * Page);
        _context.Map(_ioas, Base + (2 * Page), Page);
        var device = Attached(_ioas);
        var reply = Translate(device, false, new(Base + (2 * Page) - 16, 48), new(Base + 5, 7));
        Expect.Equal(Errno.None, reply.Errno, $"the access ({reply.Diagnostic})");
        Expect.Sequence(
            [(Memory + Base + (2 * Page) - 16, 16UL), (Memory + Base + (2 * Page), 32UL), (Memory + Base + 5, 7UL)],
            reply.Memory!.Select(piece => (piece.Address, piece.Length)), "the memory");
        Expect.That(reply.Dma is null, "A read has changed something.");
    }

    [Fact]
    public void A_write_makes_the_pages_that_it_touches_dirty_and_no_others()
    {
        var (device, hwpt) = Tracked();
        Expect.Equal(2UL, Translate(device, true, new DmaRange(Base + IommuPage - 1, 2)).Dma?.DirtiedPages, "pages that a write across a border has dirtied");
        Expect.That(Translate(device, true, new DmaRange(Base, 1)).Dma is null, "A write to a dirty page has changed something.");
        Expect.That(Translate(device, false, new DmaRange(Base + Page, Page)).Dma is null, "A read has made pages dirty.");
        Expect.Sequence([0b0000_0011, 0], _context.ReadDirty(hwpt, Base, 8 * Page, IommuPage, 2).Select(bits => (int)bits), "the dirty bitmap");
    }

    [Fact]
    public void An_access_that_fails_in_one_range_makes_nothing_dirty()
    {
        var (device, hwpt) = Tracked();
        var reply = Translate(device, true, new(Base, 1), new(Base + (8 * Page), 1));
        Expect.Equal((Errno.ENOENT, DiagnosticReason.IovaNotMapped), (reply.Errno, reply.Diagnostic!.Reason), "the access");
        Expect.Sequence([0, 0], _context.ReadDirty(hwpt, Base, 8 * Page, IommuPage, 2).Select(bits => (int)bits), "the dirty bitmap");
    }

    [Fact]
    public void Faults_are_counted_at_the_device_and_the_last_is_shown()
    {
        Expect.Equal(Errno.None, _context.TryMap(_ioas, Base, Page, writeable: false).Errno, "a mapping for reading");
        var device = Bind();
        (Errno Errno, ulong Iova, bool Write, Func<DriverReply> Run)[] faults =
        [
            (Errno.EINVAL, Base, false, () => Translate(device, false, new DmaRange(Base, 1))),
            (Errno.EPERM, Base + 3, true, () => Translate(AttachedOnce(device), true, new DmaRange(Base + 3, 1))),
            (Errno.ENOENT, Base + Page, false, () => Translate(device, false, new DmaRange(Base + Page - 1, 2))),
            (Errno.EOVERFLOW, ulong.MaxValue, true, () => Translate(device, true, new DmaRange(ulong.MaxValue, 2))),
        ];
        foreach (var (fault, count) in faults.Select((fault, index) => (fault, (ulong)index + 1)))
        {
            var reply = fault.Run();
            Expect.Equal(fault.Errno, reply.Errno, $"fault {count} ({reply.Diagnostic})");
            Expect.That(reply.Dma is { IsReported: false }, $"Fault {count} was reported, or is not journaled.");
            var entry = _context.Objects.Find<DeviceEntry>(device.Value)!;
            Expect.Equal((count, new DmaFault(fault.Errno, fault.Iova, fault.Write, 0)), (entry.DmaFaults, entry.LastDmaFault), $"what is shown after fault {count}");
        }

        var restored = OpenContext.Restore(_context.Capture()).Objects.Find<DeviceEntry>(device.Value)!;
        Expect.Equal((4UL, Errno.EOVERFLOW), (restored.DmaFaults, restored.LastDmaFault!.Errno), "what a snapshot has of the faults");
    }

    [Fact]
    public void What_is_unmapped_is_not_translated_any_more_and_what_is_remapped_is()
    {
        _context.Map(_ioas, Base, Page);
        var device = Attached(_ioas);
        Expect.Equal(Errno.None, _context.TryUnmap(_ioas, Base, Page).Errno, "the unmap");
        Expect.Equal(Errno.ENOENT, Translate(device, false, new DmaRange(Base, 1)).Errno, "an access after the unmap");
        _context.Map(_ioas, Base, 2 * Page);
        Expect.Equal(2 * Page, Translate(device, false, new DmaRange(Base, 2 * Page)).Memory!.Single().Length, "bytes behind the new mapping");
    }

    [Fact]
    public void A_PASID_is_translated_by_its_own_page_table()
    {
        var other = _context.AllocateIoas();
        _context.Map(_ioas, Base, Page);
        var device = Bind(pasidWidth: 4);
        _context.AskOk(_driver, new AttachDeviceRequest(device, new ObjectId(_context.AllocateHwpt(device.Value, _ioas, IommuHwptAllocFlags.Pasid))));
        _context.AskOk(_driver, new AttachDeviceRequest(device, new ObjectId(_context.AllocateHwpt(device.Value, other, IommuHwptAllocFlags.Pasid)), Pasid: 5));
        Expect.Equal(Errno.None, Translate(device, 0, Base).Errno, "the device itself");
        Expect.Equal(Errno.ENOENT, Translate(device, 5, Base).Errno, "PASID 5, whose IOAS maps nothing");
        Expect.Equal(Errno.EINVAL, Translate(device, 6, Base).Errno, "PASID 6, which is not attached");
    }

    [Fact]
    public void A_fault_waits_in_the_fault_queue_and_its_response_can_be_taken_once()
    {
        var (device, queue) = WithQueue();
        foreach (var (group, code) in new[] { (7U, IommuPageResponseCode.Success), (8U, IommuPageResponseCode.Invalid) })
        {
            var reply = _context.Ask(_driver, new TranslateRequest(device, [new DmaRange(Base + 17, 4)], true, Group: group));
            Expect.Equal((Errno.ENOENT, true), (reply.Errno, reply.Dma!.IsReported), $"fault {group}");
            Expect.Equal(Errno.EAGAIN, Take(device, group).Errno, $"the response to fault {group} before it is read");
            var fault = Read(queue);
            Expect.Equal(
                (device.Value, group, (uint)IommuPgfaultPerm.Write, Base), (fault.DevId, fault.Grpid, fault.Perm, fault.Addr), $"device, group, access and address of fault {group}");
            Expect.Equal(Errno.EAGAIN, Take(device, group).Errno, $"the response to fault {group} before it is written");
            Respond(queue, fault.Cookie, code);
            Expect.Equal(code, Take(device, group).Dma!.Response, $"the response to fault {group}");
            Expect.Equal(Errno.ENOENT, Take(device, group).Errno, $"the response to fault {group}, taken again");
        }
    }

    [Fact]
    public void No_response_comes_to_a_device_that_was_detached()
    {
        var (device, queue) = WithQueue();
        _context.Ask(_driver, new TranslateRequest(device, [new DmaRange(Base, 4)], true, Group: 1));
        _context.Ask(_driver, new TranslateRequest(device, [new DmaRange(Base, 4)], true, Group: 2));
        Respond(queue, Read(queue).Cookie, IommuPageResponseCode.Success);
        var hwpt = _context.HwptOf(device.Value);
        _context.AskOk(_driver, new DetachDeviceRequest(device));
        Expect.Equal(Errno.ENOENT, Take(device, 1).Errno, "the response to a device that is not attached");
        _context.AskOk(_driver, new AttachDeviceRequest(device, new ObjectId(hwpt)));
        foreach (var group in (uint[])[1, 2])
        {
            Expect.Equal(Errno.ENOENT, Take(device, group).Errno, $"the response to fault {group} of the attachment before");
        }
    }

    [Fact]
    public void Responses_that_were_not_taken_survive_a_snapshot_with_those_that_are_awaited()
    {
        var (device, queue) = WithQueue();
        _context.Ask(_driver, new TranslateRequest(device, [new DmaRange(Base, 4)], true, Group: 1));
        _context.Ask(_driver, new TranslateRequest(device, [new DmaRange(Base, 4)], true, Group: 2));
        _context.Ask(_driver, new TranslateRequest(device, [new DmaRange(Base, 4)], true, Group: 3));
        Respond(queue, Read(queue).Cookie, IommuPageResponseCode.Invalid);
        Read(queue);
        var restored = OpenContext.Restore(_context.Capture());
        (Errno, IommuPageResponseCode?) Taken(uint group) => restored.Ask(_driver, new TakeFaultResponseRequest(device, group)) is var reply ? (reply.Errno, reply.Dma?.Response) : default;
        Expect.Equal((Errno.None, IommuPageResponseCode.Invalid), Taken(1), "the response that was not taken");
        Expect.Equal((Errno.EAGAIN, null), Taken(2), "the response to the fault that was read");
        Expect.Equal((Errno.EAGAIN, null), Taken(3), "the response to the fault that was not read");
    }

    private static DriverReply Ask(OpenContext context, ReferenceId driver, DriverRequest request) => context.Ask(driver, request);

    private DriverReply Translate(ObjectId device, bool write, params DmaRange[] ranges) => Ask(_context, _driver, new TranslateRequest(device, ranges, write));

    private DriverReply Translate(ObjectId device, uint pasid, ulong iova) => Ask(_context, _driver, new TranslateRequest(device, [new DmaRange(iova, 1)], false, pasid));

    private DriverReply Take(ObjectId device, uint group) => Ask(_context, _driver, new TakeFaultResponseRequest(device, group));

    private ObjectId Bind(int pasidWidth = 0)
        => _context.AskOk(_driver, new BindDeviceRequest(new DeviceDescription { Name = "0000:01:00.0", PasidWidth = pasidWidth }));

    private ObjectId Attached(uint pageTable) => AttachedOnce(Bind(), pageTable);

    private ObjectId AttachedOnce(ObjectId device, uint? pageTable = null)
    {
        _context.AskOk(_driver, new AttachDeviceRequest(device, new ObjectId(pageTable ?? _ioas)));
        return device;
    }

    private (ObjectId Device, uint Hwpt) Tracked()
    {
        _context.Map(_ioas, Base, 8 * Page);
        var device = Bind();
        var hwpt = _context.AllocateHwpt(device.Value, _ioas, IommuHwptAllocFlags.DirtyTracking);
        AttachedOnce(device, hwpt);
        _context.RunOk0(IommuCommand.HwptSetDirtyTracking, new IommuHwptSetDirtyTracking { HwptId = hwpt, Flags = 1 });
        return (device, hwpt);
    }

    private (ObjectId Device, FileTarget Queue) WithQueue()
    {
        var device = Bind();
        var queue = _context.RunOk(IommuCommand.FaultQueueAlloc, default(IommuFaultAlloc)).OutFaultId;
        var hwpt = _context.RunOk(
            IommuCommand.HwptAlloc,
            new IommuHwptAlloc { DevId = device.Value, PtId = _ioas, Flags = (uint)IommuHwptAllocFlags.FaultIdValid, FaultId = queue }).OutHwptId;
        var reference = _context.Model.References.Single(reference => reference.Held().Any(hold => hold.Target.Id.Value == queue));
        return (AttachedOnce(device, hwpt), new FileTarget(_context.Key, reference.Id, ObjectType.FaultQueue, new ObjectId(queue)));
    }

    private IommuHwptPgfault Read(FileTarget queue)
    {
        var bytes = (ulong)Marshal.SizeOf<IommuHwptPgfault>();
        return MemoryMarshal.Read<IommuHwptPgfault>(File(queue, new ReadFileRequest(bytes, bytes)).Data);
    }

    private void Respond(FileTarget queue, uint cookie, IommuPageResponseCode code)
        => File(queue, new WriteFileRequest(8, UapiStruct.ToBytes(new IommuHwptPageResponse { Cookie = cookie, Code = (uint)code })));

    private FileReply File(FileTarget queue, FileRequest request)
    {
        var reply = FileDispatcher.DispatchAsync(new IoctlScope(_context.Model, _context.ObjectGrains), queue, request).AsTask();
        Expect.That(reply.IsCompleted, $"{request} did not answer at once.");
        Expect.Equal(Errno.None, reply.Result.Errno, $"{request} ({reply.Result.Diagnostic})");
        return reply.Result;
    }
}
