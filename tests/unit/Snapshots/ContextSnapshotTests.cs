using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;
using Xunit.Abstractions;

namespace IommuFd.UnitTests.Snapshots;

/// <summary>What a snapshot has of a context, and how the grains of its objects come into it and out of it.</summary>
public sealed partial class ContextSnapshotTests(ITestOutputHelper output)
{
    private readonly OpenContext _context = new();

    [Fact]
    public void The_contexts_own_state_is_as_it_was()
    {
        var driver = _context.Driver("vfio");
        var ioas = _context.AllocateIoas();
        _context.Model.RlimitMode = 1;
        _context.Model.TempMemoryLimit = 12345;
        _context.Model.CompatIoas = _context.Objects.Find(ioas);
        var hold = _context.Hold(driver, new ObjectId(ioas), "a reason");

        var again = MakeAgain(_context);
        Expect.Equal(
            (ContextMode.Volatile, 1U, 12345U, ioas), (again.Model.Mode, again.Model.RlimitMode, again.Model.TempMemoryLimit, again.Model.CompatIoas!.Id.Value), "the context");
        Expect.Sequence(["test", "vfio"], again.Model.References.Select(reference => reference.Name), "the references");
        Expect.Sequence([new Holder(ObjectType.Any, default, "vfio: a reason", hold)], again.Objects.Find(ioas)!.DescribeHolders(9), "who holds the IOAS");
        Expect.Equal(Errno.EBUSY, again.TryDestroy(ioas).Errno, "DESTROY of what a driver holds");
        Expect.Equal(Errno.None, again.Ask(driver, new DropHoldRequest(hold)).Errno, "dropping the hold by its number");
        again.Destroy(ioas);
        Expect.Equal(null, again.Model.CompatIoas, "the IOAS for VFIO compatibility when it is gone");
        Expect.Equal(new ReferenceId(4), again.Driver("next"), "the number after the last one");
    }

    [Fact]
    public void A_context_that_is_not_open_is_one_that_is_not_open()
    {
        var grains = new ObjectGrains(new ObjectReach(new FakeGrains().Factory, null), _context.Key, 1, Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance);
        var again = ContextModel.Restore(new ContextModel().Save().RoundTrip(), ObjectKinds.All);
        Expect.That(!again.IsOpen && again.Objects.IsEmpty && !grains.HasLost, "It is open, or has something.");
        Expect.Equal(Errno.None, again.Open(ContextMode.Durable, "opener").Errno, "opening it");
    }

    [Fact]
    public void Answers_that_a_session_may_ask_for_again_are_kept_and_what_is_settled_is_not_done_again()
    {
        var model = new ContextModel();
        model.Open(ContextMode.Durable, "opener", session: -77);
        var driver = model.Get(ReferenceKind.Driver, "driver", session: 78).Reference;
        var replies = model.FindSession(-77)!.Replies.Own;
        replies.Begin(new OperationId(-77, 9, 4), out _);
        replies.Keep(9, new IoctlReply { Errno = Errno.EBUSY, Argument = [1, 2, 3], Diagnostic = new IoctlDiagnostic { Reason = DiagnosticReason.NoFreeId } });
        replies.Keep(7, new IoctlBatchReply { Replies = [IoctlReply.Success] });
        model.FindSession(78)!.Replies.Own.Keep(1, new DriverReply(Errno.None, new ObjectId(5)));

        var again = ContextModel.Restore(model.Save().RoundTrip(), ObjectKinds.All);
        Expect.Equal(Deep.Text(model.Save()), Deep.Text(again.Save()), "the snapshot");
        Expect.Equal((1L, driver), (again.FindSession(-77)!.Id.Value, again.FindSession(78)!.Id), "the references of the sessions");
        var window = again.FindSession(-77)!.Replies.Own;
        Expect.Equal(OperationStanding.Settled, window.Begin(new OperationId(-77, 4, 0), out _), "how a settled request stands");
        Expect.Equal(OperationStanding.New, window.Begin(new OperationId(-77, 8, 4), out _), "how a request stands that was not answered");
        Expect.Equal(OperationStanding.Answered, window.Begin(new OperationId(-77, 9, 4), out var answer), "how an answered request stands");
        Expect.Equal(Deep.Text(replies.Answers[9]), Deep.Text(answer), "the answer");
        Expect.That(window.Begin(new OperationId(-77, 7, 4), out answer) == OperationStanding.Answered && answer is IoctlBatchReply, "A batch has no answer.");
        Expect.That(again.FindSession(78)!.Replies.Own.Begin(new OperationId(78, 1, 0), out answer) == OperationStanding.Answered && answer is DriverReply, "A driver has no answer.");
    }

    [Fact]
    public void Free_ids_tombstones_and_serial_numbers_go_on_as_they_would()
    {
        for (var i = 0; i < 200; i++)
        {
            _context.Add();
        }

        _context.Objects.Remove(100, leaveTombstone: true, out _);
        _context.Objects.Remove(64, leaveTombstone: true, out _);
        foreach (uint id in (uint[])[7, 3, 150, 200])
        {
            _context.Destroy(id);
        }

        var again = MakeAgain(_context);
        Expect.Sequence(_context.Objects.After(0).Select(entry => (entry.Id, entry.Serial)), again.Objects.After(0).Select(entry => (entry.Id, entry.Serial)), "ids and serial numbers");
        for (var i = 0; i < 8; i++)
        {
            var (expected, made) = (_context.Add(), again.Add());
            Expect.Equal((expected.Id, expected.Serial), (made.Id, made.Serial), $"object {i} that is made next");
        }

        Expect.Equal((null, null), (again.Objects.Find(64), again.Objects.Find(100)), "what is at the ids of tombstones");
    }

    [Fact]
    public void What_has_an_order_keeps_it_though_ids_are_in_another()
    {
        // Low ids go to what is made last.
        var spare = Enumerable.Range(0, 12).Select(_ => _context.AllocateIoas()).ToList();
        var ioas = _context.AllocateIoas();
        var driver = _context.Driver("vfio");
        var early = _context.Bind(driver, "early", "group");
        spare.ForEach(_context.Destroy);
        var late = _context.Bind(driver, "late", "group");
        _context.AskOk(driver, new AttachDeviceRequest(late, new ObjectId(ioas)));
        _context.AskOk(driver, new AttachDeviceRequest(early, new ObjectId(ioas)));

        // A second automatic HWPT, for a device of another IOMMU, with a lower id than the first's once that is made again.
        var pci = _context.AskOk(driver, new BindDeviceRequest(new DeviceDescription { Name = "pci", Iommu = DeviceDescription.PciIommu }));
        _context.AskOk(driver, new AttachDeviceRequest(pci, new ObjectId(ioas)));
        Expect.That(late.Value < early.Value, "The ids are in the order in which they were given.");

        var again = MakeAgain(_context);
        Expect.Sequence(["early", "late"], again.Objects.Find<DeviceEntry>(late.Value)!.Group.Bound.Select(device => device.Name), "the devices of the group");
        var hwpts = again.Objects.Find<IoasEntry>(ioas)!.AutoHwpts.ToList();
        Expect.Sequence([DeviceDescription.SelftestIommu, DeviceDescription.PciIommu], hwpts.Select(hwpt => hwpt.Iommu), "the automatic HWPTs");
        Expect.Sequence(
            _context.Objects.Find(hwpts[0].Id.Value)!.DescribeHolders(9), hwpts[0].DescribeHolders(9), "who holds the first");
        again.AskOk(driver, new DetachDeviceRequest(late));
        again.AskOk(driver, new UnbindDeviceRequest(early));
        Expect.Equal(null, again.Objects.Find(hwpts[0].Id.Value), "an automatic HWPT without devices");
    }

    [Fact]
    public void Attached_PASIDs_are_attached()
    {
        var driver = _context.Driver("vfio");
        var ioas = _context.AllocateIoas();
        var device = _context.AskOk(driver, new BindDeviceRequest(new DeviceDescription { Name = "device", PasidWidth = 4 }));
        var (one, other) = (_context.AllocateHwpt(device.Value, ioas, IommuHwptAllocFlags.Pasid), _context.AllocateHwpt(device.Value, ioas, IommuHwptAllocFlags.Pasid));
        _context.AskOk(driver, new AttachDeviceRequest(device, new ObjectId(one), 9));
        _context.AskOk(driver, new AttachDeviceRequest(device, new ObjectId(other)));
        _context.AskOk(driver, new AttachDeviceRequest(device, new ObjectId(other), 3));
        _context.AskOk(driver, new ReplaceDeviceRequest(device, new ObjectId(other), 9));

        var again = MakeAgain(_context);
        var entry = again.Objects.Find<DeviceEntry>(device.Value)!;
        Expect.Sequence<uint>([0, 3, 9], entry.AttachedPasids, "the PASIDs");
        Expect.Sequence(["attached, PASID 9", "attached, PASID 3", "attached"], again.Objects.Find(other)!.DescribeHolders(9).Select(holder => holder.Why), "why the HWPT is held");
        again.AskOk(driver, new DetachDeviceRequest(device, 3));
        Expect.Sequence<uint>([0, 9], entry.AttachedPasids, "the PASIDs without one");
    }

    [Fact]
    public void Pages_that_two_IOASes_share_are_known_to_be_the_same()
    {
        var (source, destination) = (_context.AllocateIoas(), _context.AllocateIoas());
        var mock = _context.RunOk(IommuCommand.TestCmd, new IommuTestCmd { Op = (uint)IommuTestOp.MockDomain, Id = source });
        _context.RunOk(IommuCommand.TestCmd, new IommuTestCmd { Op = (uint)IommuTestOp.MockDomain, Id = destination });
        _context.Map(source, TestDevices.ApertureStart, 0x4000);
        var again = MakeAgain(_context);
        again.RunOk0(IommuCommand.IoasCopy, new IommuIoasCopy
        {
            Flags = (uint)(IommuIoasMapFlags.FixedIova | IommuIoasMapFlags.Readable),
            SrcIoasId = source,
            DstIoasId = destination,
            Length = 0x2000,
            SrcIova = TestDevices.ApertureStart + 0x1000,
            DstIova = TestDevices.ApertureStart,
        });
        again = MakeAgain(again);

        // Pinned once by both, where they share them.
        var memory = 0x7F00_0000_0000UL + TestDevices.ApertureStart;
        Expect.Equal(Errno.None, CheckRefs(again, memory + 0x1000, 0x2000, 1).Errno, "pins of what both map");
        again.RunOk0(IommuCommand.IoasUnmap, new IommuIoasUnmap { IoasId = source, Iova = TestDevices.ApertureStart, Length = 0x4000 });
        Expect.Equal(Errno.None, CheckRefs(again, memory + 0x1000, 0x2000, 1).Errno, "pins of what one still maps");
        Expect.Equal(Errno.None, CheckRefs(again, memory, 0x1000, 0).Errno, "pins of what none maps");
        Expect.That(mock.Id == source, "The selftest's answer is not what was asked.");
    }

    [Fact]
    public void Only_grains_that_were_called_are_asked_and_only_those_that_have_something_are_given_it()
    {
        var (used, unused, looked) = (_context.AllocateIoas(), _context.AllocateIoas(), _context.AllocateIoas());
        _context.MapAnywhere(used, 0x1000);
        _context.TryUnmap(looked, 0, 0x1000);
        var bytes = _context.Capture();
        Expect.Sequence([Key(used), Key(looked)], _context.Grains.Keys, "the grains that were asked");
        Expect.Sequence(["Map", "Snapshot"], _context.GrainOf(used).Calls.Select(call => call.Call), "the calls of one");

        var again = OpenContext.Restore(bytes);
        Expect.Sequence([Key(used)], again.Grains.Keys, "the grains that were given a state");
        Expect.Equal((true, false, false), (WasCalled(again, used), WasCalled(again, unused), WasCalled(again, looked)), "whether they count as called");
        Expect.Equal(
            ("Restore", OpenContext.Epoch + 1, _context.Objects.Find(used)!.Serial), (again.GrainOf(used).Calls[0].Call, again.GrainOf(used).Calls[0].Stamp.Epoch, again.GrainOf(used).Calls[0].Stamp.Serial),
            "the call of the grain that was");
        again.MapAnywhere(used, 0x1000);
        Expect.That(!again.GrainOf(used).Calls[^1].Stamp.MayBuild, "A grain that was given a state may build another.");
        again.GrainOf(used).Lose();
        Expect.Equal(Errno.EIO, again.TryMapAnywhere(used, 0x1000).Errno, "the answer of a grain that has lost the state it was given");
        Expect.That(again.ObjectGrains.HasLost, "Nobody notices.");
        again.MapAnywhere(looked, 0x1000);
    }

    [Fact]
    public void A_restored_life_is_later_than_the_one_that_was_written_down_and_ends_it()
    {
        var ioas = _context.AllocateIoas();
        _context.MapAnywhere(ioas, 0x1000);
        var bytes = _context.Capture();
        var again = OpenContext.Restore(bytes, _context.Grains);
        Expect.Equal(1, again.IoasState(ioas).AreaCount, "areas of the later life");
        Expect.Equal(Errno.EIO, _context.TryMapAnywhere(ioas, 0x1000).Errno, "the answer to the earlier life");

        // An activation that has the same life already, or a later one, is no place for it.
        var late = OpenContext.Restore(bytes, _context.Grains);
        Expect.That(late.ObjectGrains.HasLost, "A grain took a life that is not later than its own.");
    }

    [Fact]
    public void A_grain_that_fails_or_has_nothing_makes_the_snapshot_one_of_no_use()
    {
        var ioas = _context.AllocateIoas();
        _context.MapAnywhere(ioas, 0x1000);
        var bytes = _context.Capture();
        Expect.That(!_context.ObjectGrains.HasLost, "A grain that answers has lost something.");

        var again = OpenContext.Restore(bytes);
        again.GrainOf(ioas).Failure = new TimeoutException("no answer");
        again.Capture();
        Expect.That(again.ObjectGrains.HasLost, "A grain that fails to answer has lost nothing.");

        var other = OpenContext.Restore(bytes);
        other.GrainOf(ioas).Lose();
        other.Capture();
        Expect.That(other.ObjectGrains.HasLost, "A grain without a state has lost nothing.");
    }

    [Fact]
    public void A_grain_that_fails_while_it_is_restored_has_lost_its_state()
    {
        var ioas = _context.AllocateIoas();
        _context.MapAnywhere(ioas, 0x1000);
        var grains = new FakeGrains();
        grains.Factory.GetGrain<IIoasGrain>(Key(ioas));
        grains[Key(ioas)].Failure = new TimeoutException("no answer");
        Expect.That(OpenContext.Restore(_context.Capture(), grains).ObjectGrains.HasLost, "Nobody notices.");
    }

    [Fact]
    public void A_reserved_object_is_not_written_down()
    {
        _context.Objects.Reserve(ObjectType.Ioas);
        Assert.Throws<InvalidOperationException>(() => _context.Model.Save());
    }

    [Fact]
    public void The_hardware_of_a_device_is_written_down_once_it_is_not_in_its_first_state()
    {
        var description = new DeviceDescription { Name = "device" };
        var model = new DeviceModel(description);
        Expect.That(model.Save().IsFirstState, "A device that nobody used has a state.");
        Expect.Equal(4, model.Hardware.Cache.Length, "entries of its cache");
        Expect.That(model.Save().IsFirstState, "A device that was only looked at has a state.");
        model.Hardware.Load(new SelftestHardwareSnapshot([1, 2, 3, 4]));
        var saved = model.Save().RoundTrip();
        Expect.That(!saved.IsFirstState, "A device that is not in its first state has none.");
        var again = DeviceModel.Restore(saved);
        Expect.Sequence<uint>([1, 2, 3, 4], again.Hardware.Cache.ToArray(), "its cache");
        Expect.Equal(Deep.Text(saved), Deep.Text(again.Save()), "what it writes down");
        Assert.Throws<InvalidDataException>(() => DeviceModel.Restore(new DeviceSnapshot { Device = description, Hardware = new SelftestHardwareSnapshot([1, 2]) }));
        Assert.Throws<InvalidDataException>(
            () => DeviceModel.Restore(new DeviceSnapshot { Device = description with { Iommu = DeviceDescription.PciIommu }, Hardware = new SelftestHardwareSnapshot([1, 2, 3, 4]) }));
        Assert.Throws<InvalidDataException>(() => DeviceModel.Restore(new DeviceSnapshot { Hardware = new SelftestHardwareSnapshot([1, 2, 3, 4]) }));
    }

    [Fact]
    public void An_IOAS_with_everything_is_made_again()
    {
        var device = new DeviceDescription { Name = "device", ReservedRegions = [new IovaRange(0x300_0000, 0x300_0FFF)] };
        var ioas = new IoasModel(serial: 5);
        IoasChange[] changes =
        [
            new AllocateDomain(new ObjectId(8), device, IommuHwptAllocFlags.DirtyTracking, null), new AllocateDomain(new ObjectId(3), device, IommuHwptAllocFlags.None, null),
            new AddDomain(new ObjectId(8)), new ReserveRegions(new ObjectId(2), device.ReservedRegions), new AddDomain(new ObjectId(3)),
            new AllocateDomain(new ObjectId(1), device, IommuHwptAllocFlags.None, null), new AddAccess(new ObjectId(7), true), new AddAccess(new ObjectId(6), false),
        ];
        Expect.Equal(Errno.None, ioas.Change(changes, out _), "the changes");
        ulong iova = TestDevices.ApertureStart;
        ioas.AddReserved(new IovaRange(0x400_0000, 0x4FF_FFFF));
        ioas.AllowIovas(1, UapiStruct.ToBytes(new IommuIovaRange { Start = iova, Last = 0x1FF_FFFF }));
        ioas.MapFile(IommuIoasMapFlags.FixedIova | IommuIoasMapFlags.Readable, new MappedFile("file"), 0x1000, 0x2000, 0x2000, ref iova);
        iova += 0x2000;
        ioas.Map(IommuIoasMapFlags.FixedIova | IommuIoasMapFlags.Writeable, 0x7000_0000, 0x8000, 0x8000, 0x8000, ref iova);
        ioas.SetDirtyTracking(new ObjectId(8), true);
        ioas.MarkDirty(new DirtyRange(new ObjectId(8), iova, 0x8000, 0x1000), [0b1010_0001], out _);
        Expect.Equal(Errno.None, ioas.PinPages(new IoasAccessRequest(new ObjectId(7), iova, 0x1000, IommuTestAccessFlags.Write), 4, default, []), "the pin");

        var again = IoasModel.Restore(5, ioas.Save().RoundTrip());
        again.Table.Validate();
        Expect.Equal(IoPagetable.Snapshots.Snapshot(ioas), IoPagetable.Snapshots.Snapshot(again), "the IOAS");
        Expect.Equal(Deep.Text(ioas.Save()), Deep.Text(again.Save()), "what it writes down");
        Expect.That(again.Domains.ContainsKey(new ObjectId(1)) && again.Table.Domains.Count == 2, "A domain that was made and not added is gone, or added.");
        again.Change([new RemoveReserved(new ObjectId(2)), new RemoveDomain(new ObjectId(8)), new RemoveAccess(new ObjectId(7))], out _);
        ioas.Change([new RemoveReserved(new ObjectId(2)), new RemoveDomain(new ObjectId(8)), new RemoveAccess(new ObjectId(7))], out _);
        Expect.Equal(IoPagetable.Snapshots.Snapshot(ioas), IoPagetable.Snapshots.Snapshot(again), "the IOAS without much of it");
        var (next, nextAgain) = (0UL, 0UL);
        ioas.Map(IommuIoasMapFlags.Readable, 0x1000, 0x1000, 0x1000, 0x1000, ref next);
        again.Map(IommuIoasMapFlags.Readable, 0x1000, 0x1000, 0x1000, 0x1000, ref nextAgain);
        Expect.Equal(Deep.Text(ioas.Table.FirstArea(new IovaRange(next, next))), Deep.Text(again.Table.FirstArea(new IovaRange(nextAgain, nextAgain))), "the next mapping, with the number of its pages");
    }

    private static OpenContext MakeAgain(OpenContext context)
    {
        var bytes = context.Capture();
        var again = OpenContext.Restore(bytes);
        Expect.Equal(Convert.ToHexString(bytes), Convert.ToHexString(again.Capture()), "the snapshot of the context that was made again");
        Expect.Equal(context.Snapshot(), again.Snapshot(), "the context that was made again");
        return again;
    }

    private static IoctlReply CheckRefs(OpenContext context, ulong address, ulong length, uint refs) => context.Run(TestDevices.Request(
        IommuCommand.TestCmd,
        new IommuTestCmd { Size = 72, Op = (uint)IommuTestOp.MdCheckRefs, Fields = IommuTestCmdUnion.Of(new IommuTestCheckRefs { Length = length, Uptr = address, Refs = refs }) },
        new UserBuffer { Index = (byte)IoctlTable.TestBufferIndex(IommuTestOp.MdCheckRefs), Length = length, ReadableBytes = length }));

    private static bool WasCalled(OpenContext context, uint id) => context.ObjectGrains.WasCalled(context.Objects.Find(id)!);

    private string Key(uint id) => $"{_context.Key}/{id}";
}
