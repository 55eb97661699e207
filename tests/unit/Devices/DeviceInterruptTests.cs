using IommuFd.Devices.DmaTest;
using IommuFd.TestSupport;
using IommuFd.Uapi;
using IommuFd.UnitTests.Devices.Support;
using IommuFd.UnitTests.Support;
using static IommuFd.UnitTests.Devices.Support.DeviceWorld;

namespace IommuFd.UnitTests.Devices;

/// <summary>The rules of a device file: GET_IRQ_INFO and SET_IRQS.</summary>
public sealed class DeviceInterruptTests
{
    private const VfioIrqSetFlags Trigger = VfioIrqSetFlags.ActionTrigger;
    private const VfioIrqSetFlags None = VfioIrqSetFlags.DataNone;
    private const VfioIrqSetFlags Bool = VfioIrqSetFlags.DataBool;
    private const VfioIrqSetFlags EventFd = VfioIrqSetFlags.DataEventFd;

    [Fact]
    public async Task GET_IRQ_INFO_says_how_many_there_are_and_what_can_be_done_with_them()
    {
        await using var world = await BoundAsync();
        foreach (var (index, flags, count) in new[] { (0U, 7U, 1U), (1U, 9U, 4U), (2U, 9U, 4U), (3U, 9U, 1U), (4U, 9U, 1U) })
        {
            var (reply, info) = await world.IoctlAsync(VfioDeviceCommand.GetIrqInfo, new VfioIrqInfo { Argsz = 16, Index = index });
            Expect.Equal((Errno.None, flags, count), (reply.Errno, info.Flags, info.Count), $"errno, flags and count of kind {index}");
        }

        Expect.Equal(Errno.EINVAL, (await world.IoctlAsync(VfioDeviceCommand.GetIrqInfo, new VfioIrqInfo { Argsz = 16, Index = 5 })).Reply.Errno, "kind 5");
        Expect.Equal(Errno.EINVAL, (await world.IoctlAsync(VfioDeviceCommand.GetIrqInfo, new VfioIrqInfo { Argsz = 15 })).Reply.Errno, "argsz of 15");
    }

    [Fact]
    public async Task SET_IRQS_with_a_wrong_argument_is_refused_for_its_reason()
    {
        await using var world = await BoundAsync();
        var good = new VfioIrqSet { Argsz = 24, Flags = (uint)(EventFd | Trigger), Index = 2, Count = 1 };
        byte[] data = BitConverter.GetBytes(world.Program.OpenEventFd().Descriptor);
        (string What, Errno Errno, VfioIrqSet Set, byte[] Data)[] all =
        [
            ("argsz of 19", Errno.EINVAL, good with { Argsz = 19 }, data),
            ("kind 5", Errno.EINVAL, good with { Index = 5 }, data),
            ("an unknown flag", Errno.EINVAL, good with { Flags = good.Flags | 64 }, data),
            ("no kind of data", Errno.EINVAL, good with { Flags = (uint)Trigger }, data),
            ("two kinds of data", Errno.EINVAL, good with { Flags = (uint)(None | Bool | Trigger) }, data),
            ("no action", Errno.ENOTTY, good with { Flags = (uint)EventFd }, data),
            ("a count that wraps", Errno.EINVAL, good with { Start = 1, Count = uint.MaxValue }, data),
            ("a start past the last", Errno.EINVAL, good with { Start = 4 }, data),
            ("more than there are", Errno.EINVAL, good with { Start = 3, Count = 2 }, data),
            ("less data than argsz needs", Errno.EINVAL, good with { Argsz = 23 }, data),
            ("data that can't be read", Errno.EFAULT, good, []),
            ("masking MSI-X", Errno.ENOTTY, good with { Flags = (uint)(EventFd | VfioIrqSetFlags.ActionMask) }, data),
            ("a descriptor that is not open", Errno.EBADF, good, BitConverter.GetBytes(77)),
            ("a descriptor of something else", Errno.EINVAL, good, BitConverter.GetBytes(world.ContextDescriptor)),
            ("triggering what is not enabled", Errno.EINVAL, good with { Flags = (uint)(None | Trigger) }, data),
            ("masking a pin that is not enabled", Errno.EINVAL, good with { Index = 0, Flags = (uint)(None | VfioIrqSetFlags.ActionMask) }, data),
        ];
        foreach (var (what, errno, set, bytes) in all)
        {
            Expect.Equal(errno, (await world.IoctlAsync(VfioDeviceCommand.SetIrqs, set, bytes)).Reply.Errno, what);
        }

        await world.SetInterruptsAsync(VfioPciIrq.Msi, 1);
    }

    [Fact]
    public async Task Vectors_tell_their_eventfds_and_can_be_tested_replaced_and_ended()
    {
        await using var world = await BoundAsync();
        var eventFds = await world.SetInterruptsAsync(VfioPciIrq.Msix, 3);
        await SetAsync(world, Errno.None, None | Trigger, VfioPciIrq.Msix, 1, 2);
        Expect.Sequence([0, 1, 1], eventFds.Select(eventFd => eventFd.Count), "signals after DATA_NONE of vectors 1 and 2");
        await SetAsync(world, Errno.None, Bool | Trigger, VfioPciIrq.Msix, 0, 3, 1, 0, 1);
        Expect.Sequence([1, 1, 2], eventFds.Select(eventFd => eventFd.Count), "signals after DATA_BOOL of vectors 0 and 2");
        await SetAsync(world, Errno.None, EventFd | Trigger, VfioPciIrq.Msix, 1, 1, BitConverter.GetBytes(-1));
        await SetAsync(world, Errno.None, None | Trigger, VfioPciIrq.Msix, 0, 3);
        Expect.Sequence([2, 1, 3], eventFds.Select(eventFd => eventFd.Count), "signals after vector 1 was taken away");
        await SetAsync(world, Errno.EINVAL, None | Trigger, VfioPciIrq.Msix, 3, 1);
        await SetAsync(world, Errno.EINVAL, EventFd | Trigger, VfioPciIrq.Msi, 0, 1, BitConverter.GetBytes(-1));
        await SetAsync(world, Errno.None, None | Trigger, VfioPciIrq.Msix, 0, 0);
        await SetAsync(world, Errno.EINVAL, None | Trigger, VfioPciIrq.Msix, 0, 1);
        await world.SetInterruptsAsync(VfioPciIrq.Msi, 4);
    }

    [Fact]
    public async Task A_pin_is_masked_when_it_tells_and_tells_again_when_it_is_unmasked_and_still_asserted()
    {
        await using var world = await BoundAsync();
        var pin = (await world.SetInterruptsAsync(VfioPciIrq.Intx, 1))[0];
        await world.Write32Async(VfioPciRegion.Bar0, DmaTestRegister.Vector, 0);
        await RaiseAsync(world, pin, 1, "the first");
        Expect.That(((await world.ReadAsync(VfioPciRegion.Config, 6, 1))[0] & 8) != 0, "The status register does not say that the pin is asserted.");
        await SetAsync(world, Errno.None, None | VfioIrqSetFlags.ActionUnmask, VfioPciIrq.Intx, 0, 1);
        Expect.Equal(2, pin.Count, "signals after it was unmasked and not cleared");
        await world.Write32Async(VfioPciRegion.Bar0, DmaTestRegister.Interrupt, 1);
        await SetAsync(world, Errno.None, Bool | VfioIrqSetFlags.ActionUnmask, VfioPciIrq.Intx, 0, 1, 1);
        Expect.Equal(2, pin.Count, "signals after it was cleared and unmasked");
        await SetAsync(world, Errno.None, None | VfioIrqSetFlags.ActionMask, VfioPciIrq.Intx, 0, 1);
        await RaiseAsync(world, null, 0, "one that is masked");
        Expect.Equal(2, pin.Count, "signals of a masked pin");

        var (descriptor, unmask) = world.Program.OpenEventFd();
        await SetAsync(world, Errno.None, EventFd | VfioIrqSetFlags.ActionUnmask, VfioPciIrq.Intx, 0, 1, BitConverter.GetBytes(descriptor));
        unmask.Signal();
        await pin.WaitAsync("the one that was pending");
        await SetAsync(world, Errno.ENOTTY, EventFd | VfioIrqSetFlags.ActionMask, VfioPciIrq.Intx, 0, 1, BitConverter.GetBytes(descriptor));
        await SetAsync(world, Errno.None, None | Trigger, VfioPciIrq.Intx, 0, 0);
        await SetAsync(world, Errno.EINVAL, None | Trigger, VfioPciIrq.Intx, 0, 1);
    }

    [Fact]
    public async Task Interrupts_are_blocked_by_the_command_register()
    {
        await using var world = await BoundAsync();
        var pin = (await world.SetInterruptsAsync(VfioPciIrq.Intx, 1))[0];
        await world.Write32Async(VfioPciRegion.Bar0, DmaTestRegister.Vector, 0);
        await world.WriteAsync(VfioPciRegion.Config, 4, new byte[] { 2, 4 });
        await RaiseAsync(world, null, 0, "a blocked one");
        Expect.Equal(0, pin.Count, "signals while the pin is disabled");
        await world.WriteAsync(VfioPciRegion.Config, 4, new byte[] { 2, 0 });
        await pin.WaitAsync("the one that was blocked");
    }

    [Fact]
    public async Task Error_and_request_interrupts_can_be_set_tested_and_ended()
    {
        await using var world = await BoundAsync();
        foreach (var index in (VfioPciIrq[])[VfioPciIrq.Err, VfioPciIrq.Req])
        {
            await SetAsync(world, Errno.EINVAL, None | Trigger, index, 0, 1);
            var eventFd = (await world.SetInterruptsAsync(index, 1))[0];
            await SetAsync(world, Errno.None, None | Trigger, index, 0, 1);
            await SetAsync(world, Errno.None, Bool | Trigger, index, 0, 1, 1);
            await SetAsync(world, Errno.None, Bool | Trigger, index, 0, 1, 0);
            Expect.Equal(2, eventFd.Count, $"signals of {index}");
            await SetAsync(world, Errno.EINVAL, EventFd | Trigger, index, 0, 0);
            await SetAsync(world, Errno.ENOTTY, None | VfioIrqSetFlags.ActionMask, index, 0, 1);
            await SetAsync(world, Errno.None, None | Trigger, index, 0, 0);
            await SetAsync(world, Errno.EINVAL, None | Trigger, index, 0, 1);
        }
    }

    [Fact]
    public async Task Closing_the_file_ends_its_interrupts()
    {
        await using var world = await BoundAsync();
        var eventFd = (await world.SetInterruptsAsync(VfioPciIrq.Msix, 1))[0];
        await world.File.CloseAsync();
        await world.Function.Loop.RunAsync(() => world.Function.Interrupts.Raise(0));
        Expect.Equal(0, eventFd.Count, "signals after the close");
    }

    [Fact]
    public async Task A_vector_that_the_table_masks_is_pending_until_it_is_unmasked()
    {
        await using var world = await BoundAsync();
        var eventFds = await world.SetInterruptsAsync(VfioPciIrq.Msix, 2);
        await world.Function.Loop.RunAsync(() =>
        {
            world.Function.WriteBar(4, 16 + 12, BitConverter.GetBytes(1));
            world.Function.Interrupts.Raise(1);
        });
        Expect.Equal((0, 2U), (eventFds[1].Count, await world.Read32Async((VfioPciRegion)4, 0x800)), "signals and pending bits of a masked vector");
        await world.Function.Loop.RunAsync(() => world.Function.WriteBar(4, 16 + 12, BitConverter.GetBytes(0)));
        Expect.Equal((1, 0U), (eventFds[1].Count, await world.Read32Async((VfioPciRegion)4, 0x800)), "signals and pending bits after it was unmasked");
    }

    private static async Task<DeviceWorld> BoundAsync()
    {
        var world = await NewAsync(new DmaTestFunction());
        await world.BindAsync();
        return world;
    }

    private static async Task SetAsync(DeviceWorld world, Errno errno, VfioIrqSetFlags flags, VfioPciIrq index, uint start, uint count, params byte[] data)
    {
        var set = new VfioIrqSet { Argsz = 20 + (uint)data.Length, Flags = (uint)flags, Index = (uint)index, Start = start, Count = count };
        var (reply, _) = await world.IoctlAsync(VfioDeviceCommand.SetIrqs, set, data);
        Expect.Equal(errno, reply.Errno, $"SET_IRQS {flags} of {count} {index} from {start}");
    }

    // Has the device end a command, and waits for that.
    private static async Task RaiseAsync(DeviceWorld world, TestInterrupt? told, int count, string what)
    {
        var done = await world.Read32Async(VfioPciRegion.Bar0, DmaTestRegister.Done);
        await world.Write32Async(VfioPciRegion.Bar0, DmaTestRegister.Command, (uint)DmaTestCommand.Interrupt);
        await Eventually.TrueAsync(async () => await world.Read32Async(VfioPciRegion.Bar0, DmaTestRegister.Done) > done, $"the command has ended: {what}");
        Expect.Equal(count, told?.Count ?? 0, $"signals: {what}");
    }
}
