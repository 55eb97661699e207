using System.Runtime.CompilerServices;
using IommuFd.Client;
using IommuFd.Devices.DmaTest;
using IommuFd.Devices.Pci;
using IommuFd.Devices.Vfio;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Devices.Support;
using IommuFd.UnitTests.Support;
using static IommuFd.UnitTests.Devices.Support.DeviceWorld;

namespace IommuFd.UnitTests.Devices;

/// <summary>The rules of a device file: binding, attaching and closing.</summary>
public sealed class DeviceFileTests
{
    [Fact]
    public async Task Before_BIND_everything_is_EINVAL()
    {
        await using var world = await NewAsync();
        foreach (var command in Enum.GetValues<VfioDeviceCommand>().Where(command => command != VfioDeviceCommand.BindIommufd))
        {
            Expect.Equal(Errno.EINVAL, (await world.IoctlAsync(command, new byte[64])).Errno, $"{command} before BIND");
        }

        Expect.Equal(Errno.EINVAL, (await world.File.ReadAsync(At(VfioPciRegion.Config, 0), new byte[4])).Errno, "a read before BIND");
        Expect.Equal(Errno.EINVAL, (await world.File.WriteAsync(At(VfioPciRegion.Config, 4), new byte[2])).Errno, "a write before BIND");
        Expect.Equal(Errno.EINVAL, world.File.Map(At(VfioPciRegion.Bar0, DmaTestRegister.Window), Page, isShared: true).Errno, "a mapping before BIND");
    }

    [Theory]
    [InlineData(16)]
    [InlineData(24)]
    [InlineData(32)]
    public async Task BIND_of_any_size_that_the_kernel_knows_answers_the_devices_id(int size)
    {
        await using var world = await NewAsync();
        var argument = Bytes(new VfioDeviceBindIommufd { Argsz = (uint)size, Iommufd = world.ContextDescriptor }, new byte[8])[..size];
        var reply = await world.IoctlAsync(VfioDeviceCommand.BindIommufd, argument);
        Expect.Equal((Errno.None, 16), (reply.Errno, reply.Argument.Length), "errno and bytes that are copied back");
        Expect.Equal(world.Device.BoundId.Value, UapiStruct.Read<VfioDeviceBindIommufd>([.. reply.Argument.Span, .. new byte[8]]).OutDevId, "the device's id");
    }

    [Fact]
    public async Task BIND_with_a_wrong_argument_is_refused_for_its_reason_and_binds_nothing()
    {
        await using var world = await NewAsync();
        var good = new VfioDeviceBindIommufd { Argsz = 24, Iommufd = world.ContextDescriptor };
        (string What, Errno Errno, byte[] Argument)[] all =
        [
            ("an argument that can't be read", Errno.EFAULT, Bytes(good)[..3]),
            ("an argument that ends early", Errno.EFAULT, Bytes(good)[..20]),
            ("argsz of 15", Errno.EINVAL, Bytes(good with { Argsz = 15 })),
            ("an unknown flag", Errno.EINVAL, Bytes(good with { Flags = 2 })),
            ("a token, which this device has not", Errno.EINVAL, Bytes(good with { Flags = 1 })),
            ("a negative descriptor", Errno.EINVAL, Bytes(good with { Iommufd = -1 })),
            ("unknown bytes that are not zero", Errno.E2BIG, Bytes(good with { Argsz = 32 }, 0, 0, 0, 0, 0, 0, 0, 1)),
            ("a descriptor that is not open", Errno.EBADF, Bytes(good with { Iommufd = 77 })),
            ("another file's descriptor", Errno.EBADFD, Bytes(good with { Iommufd = world.Program.OpenOther() })),
        ];
        foreach (var (what, errno, argument) in all)
        {
            Expect.Equal(errno, (await world.IoctlAsync(VfioDeviceCommand.BindIommufd, argument)).Errno, what);
            Expect.Equal(default, world.Device.BoundId, $"the device's id after {what}");
        }
    }

    [Fact]
    public async Task BIND_whose_answer_can_t_be_written_is_EFAULT_and_undone()
    {
        await using var world = await NewAsync();
        var argument = Bytes(new VfioDeviceBindIommufd { Argsz = 24, Iommufd = world.ContextDescriptor });
        Expect.Equal(Errno.EFAULT, (await world.IoctlAsync(VfioDeviceCommand.BindIommufd, argument, writable: 12)).Errno, "BIND");
        Expect.Equal(default, world.Device.BoundId, "the device's id");
        await world.BindAsync();
    }

    [Fact]
    public async Task BIND_twice_is_EINVAL_and_so_is_a_second_opener_until_the_first_has_closed()
    {
        await using var world = await NewAsync();
        await world.BindAsync();
        var bind = new VfioDeviceBindIommufd { Argsz = 24, Iommufd = world.ContextDescriptor };
        Expect.Equal(Errno.EINVAL, (await world.IoctlAsync(VfioDeviceCommand.BindIommufd, bind)).Reply.Errno, "the second BIND of a file");
        await using var second = world.Device.Open();
        Expect.Equal(Errno.EINVAL, (await world.IoctlAsync(VfioDeviceCommand.BindIommufd, bind, file: second)).Reply.Errno, "the BIND of a second opener");
        await world.File.CloseAsync();
        Expect.Equal(Errno.None, (await world.IoctlAsync(VfioDeviceCommand.BindIommufd, bind, file: second)).Reply.Errno, "the BIND of a second opener after the first has closed");
    }

    [Fact]
    public async Task The_groups_other_function_in_another_context_is_EPERM_as_long_as_the_first_is_bound()
    {
        await using var world = await NewAsync();
        var group = new DeviceDescription { Name = "", Iommu = DeviceDescription.PciIommu, Group = world.Device.Group };
        using var function = new DmaTestFunction();
        await using var other = world.Machine.Add(new PciAddress(0, 1, 0, 1), function, group).Open();
        await world.BindAsync();
        var (descriptor, context) = await world.Program.OpenContextAsync();
        var elsewhere = new VfioDeviceBindIommufd { Argsz = 24, Iommufd = descriptor };
        Expect.Equal(Errno.EPERM, (await world.IoctlAsync(VfioDeviceCommand.BindIommufd, elsewhere, file: other)).Reply.Errno, "BIND to another context");
        Expect.Equal(
            Errno.None, (await world.IoctlAsync(VfioDeviceCommand.BindIommufd, elsewhere with { Iommufd = world.ContextDescriptor }, file: other)).Reply.Errno, "BIND to the same context");
        await other.CloseAsync();
        await world.File.CloseAsync();
        await using var again = world.Machine.Find(new PciAddress(0, 1, 0, 1))!.Open();
        Expect.Equal(Errno.None, (await world.IoctlAsync(VfioDeviceCommand.BindIommufd, elsewhere, file: again)).Reply.Errno, "BIND to another context after both have closed");
        await again.CloseAsync();
        await context.DisposeAsync();
    }

    [Fact]
    public async Task ATTACH_answers_the_HWPT_and_an_attached_device_is_moved()
    {
        await using var world = await NewAsync();
        await world.BindAsync();
        var second = await world.Context.AllocateIoasAsync();
        var hwpt = await world.AttachAsync(world.Ioas);
        var moved = await world.AttachAsync(second);
        Expect.That(hwpt != default && moved != default && hwpt != moved, $"The device was attached to HWPT {hwpt}, then to {moved}.");
        Expect.Equal(moved, await world.AttachAsync(moved), "the HWPT itself");
        await world.Context.DestroyAsync(world.Ioas);
    }

    [Fact]
    public async Task ATTACH_with_a_wrong_argument_is_refused_for_its_reason()
    {
        await using var world = await NewAsync();
        await world.BindAsync();
        var good = new VfioDeviceAttachIommufdPt { Argsz = 16, PtId = world.Ioas.Value };
        (string What, Errno Errno, byte[] Argument)[] all =
        [
            ("an argument that can't be read", Errno.EFAULT, Bytes(good)[..11]),
            ("a PASID that can't be read", Errno.EFAULT, Bytes(good with { Flags = 1 })[..12]),
            ("argsz of 11", Errno.EINVAL, Bytes(good with { Argsz = 11 })),
            ("argsz of 12 with a PASID", Errno.EINVAL, Bytes(good with { Argsz = 12, Flags = 1, Pasid = 1 })),
            ("an unknown flag", Errno.EINVAL, Bytes(good with { Flags = 2 })),
            ("no such page table", Errno.ENOENT, Bytes(good with { PtId = 77 })),
            ("a device as the page table", Errno.EINVAL, Bytes(good with { PtId = world.Device.BoundId.Value })),
            ("a PASID on an IOAS, which needs a HWPT for PASIDs", Errno.EINVAL, Bytes(good with { Flags = 1, Pasid = 5 })),
            ("a PASID that no PASID can be", Errno.ENOSPC, Bytes(good with { Flags = 1, Pasid = 1U << 31 })),
        ];
        foreach (var (what, errno, argument) in all)
        {
            Expect.Equal(errno, (await world.IoctlAsync(VfioDeviceCommand.AttachIommufdPt, argument)).Errno, what);
        }
    }

    [Fact]
    public async Task ATTACH_whose_answer_can_t_be_written_is_EFAULT_and_the_device_is_detached()
    {
        await using var world = await NewAsync();
        await world.BindAsync();
        var argument = Bytes(new VfioDeviceAttachIommufdPt { Argsz = 12, PtId = world.Ioas.Value });
        Expect.Equal(Errno.EFAULT, (await world.IoctlAsync(VfioDeviceCommand.AttachIommufdPt, argument, writable: 11)).Errno, "ATTACH");
        await world.Context.DestroyAsync(world.Ioas);
    }

    [Fact]
    public async Task DETACH_frees_the_page_table_and_succeeds_also_where_nothing_is_attached()
    {
        await using var world = await NewAsync();
        await world.BindAsync();
        await world.DetachAsync();
        await world.AttachAsync(world.Ioas);
        await world.DetachAsync();
        await world.Context.DestroyAsync(world.Ioas);
        (string What, Errno Errno, byte[] Argument)[] all =
        [
            ("an argument that can't be read", Errno.EFAULT, Bytes(new VfioDeviceDetachIommufdPt { Argsz = 12 })[..7]),
            ("argsz of 7", Errno.EINVAL, Bytes(new VfioDeviceDetachIommufdPt { Argsz = 7 })),
            ("an unknown flag", Errno.EINVAL, Bytes(new VfioDeviceDetachIommufdPt { Argsz = 12, Flags = 2 })),
            ("argsz of 8 with a PASID", Errno.EINVAL, Bytes(new VfioDeviceDetachIommufdPt { Argsz = 8, Flags = 1 })),
            ("a PASID that is not attached", Errno.None, Bytes(new VfioDeviceDetachIommufdPt { Argsz = 12, Flags = 1, Pasid = 3 })),
        ];
        foreach (var (what, errno, argument) in all)
        {
            Expect.Equal(errno, (await world.IoctlAsync(VfioDeviceCommand.DetachIommufdPt, argument)).Errno, what);
        }
    }

    [Fact]
    public async Task A_PASID_is_attached_moved_and_detached_beside_the_device()
    {
        await using var world = await NewAsync();
        await world.BindAsync();
        var second = await world.Context.AllocateIoasAsync();
        var one = await world.Context.AllocateHwptAsync(world.Device.BoundId, world.Ioas, IommuHwptAllocFlags.Pasid);
        var two = await world.Context.AllocateHwptAsync(world.Device.BoundId, second, IommuHwptAllocFlags.Pasid);
        await world.AttachAsync(one);
        foreach (var hwpt in (ObjectId[])[one, two, two])
        {
            var (reply, answer) = await world.IoctlAsync(VfioDeviceCommand.AttachIommufdPt, new VfioDeviceAttachIommufdPt { Argsz = 16, Flags = 1, PtId = hwpt.Value, Pasid = 5 });
            Expect.Equal((Errno.None, hwpt.Value), (reply.Errno, answer.PtId), $"PASID 5 on HWPT {hwpt}");
        }

        Expect.Equal(Errno.EBUSY, (await Assert.ThrowsAsync<IommufdException>(() => world.Context.DestroyAsync(two).AsTask())).Errno, "destroying the HWPT of a PASID");
        Expect.Equal(
            Errno.None, (await world.IoctlAsync(VfioDeviceCommand.DetachIommufdPt, new VfioDeviceDetachIommufdPt { Argsz = 12, Flags = 1, Pasid = 5 })).Reply.Errno, "detaching PASID 5");
        await world.Context.DestroyAsync(two);
        Expect.Equal(Errno.EBUSY, (await Assert.ThrowsAsync<IommufdException>(() => world.Context.DestroyAsync(one).AsTask())).Errno, "destroying the HWPT of the device itself");
    }

    [Fact]
    public async Task DETACH_a_move_and_a_close_are_answered_when_the_accesses_under_way_have_ended()
    {
        await using var world = await NewAsync();
        await world.BindAsync();
        var second = await world.Context.AllocateIoasAsync();
        await world.AttachAsync(world.Ioas);
        (string What, Func<Task> Run)[] all = [("a move", () => world.AttachAsync(second)), ("DETACH", world.DetachAsync), ("a close", world.File.CloseAsync)];
        foreach (var (what, run) in all)
        {
            var access = world.Program.Fence.Enter();
            var running = run();
            await world.Function.Loop.RunAsync(() => { });
            Expect.That(!running.IsCompleted, $"An access is under way, and {what} is answered.");
            access.Dispose();
            await running;
        }
    }

    [Fact]
    public async Task Closing_detaches_and_unbinds_and_puts_the_reference_to_the_context()
    {
        await using var world = await NewAsync();
        await world.BindAsync();
        var device = world.Device.BoundId;
        await world.AttachAsync(world.Ioas);
        await world.File.CloseAsync();
        Expect.Equal(default, world.Device.BoundId, "the device's id after the close");
        await world.Context.DestroyAsync(world.Ioas);
        Expect.Equal(Errno.ENOENT, (await Assert.ThrowsAsync<IommufdException>(() => world.Context.DestroyAsync(device).AsTask())).Errno, "the device's object");
        Expect.Equal(Errno.EINVAL, (await world.IoctlAsync(VfioDeviceCommand.GetInfo, new byte[24])).Errno, "an ioctl on a closed file");
    }

    [Fact]
    public async Task A_bound_device_was_reset_answers_in_memory_and_is_not_master()
    {
        await using var world = await NewAsync();
        await world.BindAsync();
        Expect.Equal(2, (await world.ReadAsync(VfioPciRegion.Config, 4, 2))[0], "the command register");
        await world.Write32Async(VfioPciRegion.Bar0, DmaTestRegister.Pattern, 5);
        await world.File.CloseAsync();
        await using var second = world.Device.Open();
        await world.IoctlAsync(VfioDeviceCommand.BindIommufd, new VfioDeviceBindIommufd { Argsz = 24, Iommufd = world.ContextDescriptor }, file: second);
        var bytes = new byte[4];
        await second.ReadAsync(At(VfioPciRegion.Bar0, DmaTestRegister.Pattern), bytes);
        Expect.Equal(0U, BitConverter.ToUInt32(bytes), "a register that the first opener has written");
    }

    [Fact]
    public async Task GET_PCI_HOT_RESET_INFO_names_the_slots_functions_by_their_ids_and_says_whether_all_are_owned()
    {
        await using var world = await NewAsync();
        using var function = new DmaTestFunction();
        var other = world.Machine.Add(new PciAddress(0, 1, 0, 1), function);
        await world.BindAsync();
        var header = new VfioPciHotResetInfo { Argsz = 12 };
        var (tooSmall, needed) = await world.IoctlAsync(VfioDeviceCommand.GetPciHotResetInfo, header);
        Expect.Equal((Errno.ENOSPC, 2U), (tooSmall.Errno, needed.Count), "errno and count without room");
        var (first, info) = await world.IoctlAsync(VfioDeviceCommand.GetPciHotResetInfo, header with { Argsz = 28 }, new byte[16]);
        Expect.Equal((Errno.None, (uint)VfioHotResetFlags.DevId, 2U), (first.Errno, info.Flags, info.Count), "errno, flags and count while the other is nobody's");
        Expect.Sequence([(world.Device.BoundId.Value, 0), (uint.MaxValue, 1)], Devices(first), "the devices");
        Expect.Equal(Errno.EINVAL, (await world.IoctlAsync(VfioDeviceCommand.PciHotReset, header)).Reply.Errno, "a hot reset of devices that are not all owned");

        await using var file = other.Open();
        await world.IoctlAsync(VfioDeviceCommand.BindIommufd, new VfioDeviceBindIommufd { Argsz = 24, Iommufd = world.ContextDescriptor }, file: file);
        var (second, owned) = await world.IoctlAsync(VfioDeviceCommand.GetPciHotResetInfo, header with { Argsz = 28 }, new byte[16]);
        Expect.Equal((uint)(VfioHotResetFlags.DevId | VfioHotResetFlags.DevIdOwned), owned.Flags, "flags while both are the context's");
        Expect.Sequence([(world.Device.BoundId.Value, 0), (other.BoundId.Value, 1)], Devices(second), "the devices");
        await world.Write32Async(VfioPciRegion.Bar0, DmaTestRegister.Pattern, 5);
        Expect.Equal(Errno.None, (await world.IoctlAsync(VfioDeviceCommand.PciHotReset, header)).Reply.Errno, "the hot reset");
        Expect.Equal(0U, await world.Read32Async(VfioPciRegion.Bar0, DmaTestRegister.Pattern), "a register after the hot reset");
    }

    [Fact]
    public async Task FEATURE_of_what_isn_t_there_is_ENOTTY_and_of_wrong_flags_EINVAL()
    {
        await using var world = await NewAsync();
        await world.BindAsync();
        (string What, Errno Errno, byte[] Argument)[] all =
        [
            ("an argument that can't be read", Errno.EFAULT, new byte[7]),
            ("argsz of 7", Errno.EINVAL, Bytes(new VfioDeviceFeature { Argsz = 7, Flags = 1 << 16 })),
            ("an unknown flag", Errno.EINVAL, Bytes(new VfioDeviceFeature { Argsz = 8, Flags = 1 << 20 })),
            ("get and set", Errno.EINVAL, Bytes(new VfioDeviceFeature { Argsz = 8, Flags = 3 << 16 })),
            ("a probe of migration", Errno.ENOTTY, Bytes(new VfioDeviceFeature { Argsz = 8, Flags = (7 << 16) | 1 })),
            ("a get of low power", Errno.EINVAL, Bytes(new VfioDeviceFeature { Argsz = 8, Flags = (1 << 16) | 3 })),
            ("a probe of a get of low power", Errno.EINVAL, Bytes(new VfioDeviceFeature { Argsz = 8, Flags = (5 << 16) | 3 })),
            ("low power without set", Errno.EINVAL, Bytes(new VfioDeviceFeature { Argsz = 8, Flags = 3 })),
            ("a probe of leaving low power", Errno.None, Bytes(new VfioDeviceFeature { Argsz = 8, Flags = (6 << 16) | 5 })),
            ("low power with an eventfd that argsz leaves out", Errno.EINVAL, Bytes(new VfioDeviceFeature { Argsz = 12, Flags = (2 << 16) | 4 }, new byte[8])),
            ("low power with an eventfd that can't be read", Errno.EFAULT, Bytes(new VfioDeviceFeature { Argsz = 16, Flags = (2 << 16) | 4 }, new byte[4])),
            ("low power with no eventfd", Errno.EINVAL, Bytes(new VfioDeviceFeature { Argsz = 16, Flags = (2 << 16) | 4 }, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0)),
            ("low power with a closed eventfd", Errno.EBADF, Bytes(new VfioDeviceFeature { Argsz = 16, Flags = (2 << 16) | 4 }, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0)),
            ("a get of migration", Errno.ENOTTY, Bytes(new VfioDeviceFeature { Argsz = 16, Flags = (1 << 16) | 1 })),
        ];
        foreach (var (what, errno, argument) in all)
        {
            Expect.Equal(errno, (await world.IoctlAsync(VfioDeviceCommand.Feature, argument)).Errno, what);
        }

        Expect.Equal(Errno.ENOTTY, (await world.IoctlAsync((VfioDeviceCommand)0x3B80, new byte[16])).Errno, "an ioctl of another file");
        Expect.Equal(Errno.ENOTTY, (await world.IoctlAsync(VfioDeviceCommand.IoEventFd, new byte[32])).Errno, "an ioctl that is not there");
    }

    [Fact]
    public async Task A_device_that_may_sleep_can_be_let_to_once_and_tells_who_wakes_it()
    {
        await using var world = await NewAsync();
        await world.BindAsync();
        var (descriptor, wakeup) = world.Program.OpenEventFd();
        Task<VfioReply> Ask(uint feature, params byte[] rest) => world.IoctlAsync(VfioDeviceCommand.Feature, Bytes(new VfioDeviceFeature { Argsz = 8 + (uint)rest.Length, Flags = (2 << 16) | feature }, rest)).AsTask();

        Expect.Equal(Errno.None, (await Ask(3)).Errno, "entering");
        Expect.Equal(Errno.EINVAL, (await Ask(3)).Errno, "entering again");
        await world.ReadAsync(VfioPciRegion.Config, 0, 4);
        Expect.Equal(Errno.EINVAL, (await Ask(3)).Errno, "entering after a read, which has not ended it");
        Expect.Equal(Errno.None, (await Ask(5)).Errno, "leaving");
        Expect.Equal(Errno.None, (await Ask(5)).Errno, "leaving again");

        byte[] eventFd = [.. BitConverter.GetBytes(descriptor), 0, 0, 0, 0];
        Expect.Equal((Errno.None, 0), ((await Ask(4, eventFd)).Errno, wakeup.Count), "entering with an eventfd, and how often that was told");
        await world.ReadAsync(VfioPciRegion.Config, 0, 4);
        await world.ReadAsync(VfioPciRegion.Config, 0, 4);
        Expect.Equal(1, wakeup.Count, "how often it was told of two reads");
        Expect.Equal(Errno.None, (await Ask(3)).Errno, "entering once the eventfd was told");
    }

    [Theory]
    [InlineData(VfioDeviceCommand.GetInfo, 8, 16)]
    [InlineData(VfioDeviceCommand.GetRegionInfo, 48, 48)]
    [InlineData(VfioDeviceCommand.SetIrqs, uint.MaxValue, 65536)]
    [InlineData(VfioDeviceCommand.Reset, 77, 0)]
    [InlineData((VfioDeviceCommand)0x3B80, 77, 0)]
    public void An_argument_is_read_as_far_as_argsz_says_and_never_less_than_the_command_needs(VfioDeviceCommand command, uint argsz, int length)
        => Expect.Equal(length, VfioArgument.Length((uint)command, argsz), $"the bytes of {command} with argsz {argsz}");

    private static Task<DeviceWorld> NewAsync() => DeviceWorld.NewAsync(new DmaTestFunction());

    private static IEnumerable<(uint Id, int Function)> Devices(VfioReply reply)
        => reply.Argument[Unsafe.SizeOf<VfioPciHotResetInfo>()..].ToArray().Chunk(8).Select(bytes => UapiStruct.Read<VfioPciDependentDevice>(bytes)).Select(device => (device.DevId, device.DevFn & 7));
}
