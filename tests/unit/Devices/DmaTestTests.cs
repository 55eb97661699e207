using IommuFd.Client;
using IommuFd.Devices.DmaTest;
using IommuFd.TestSupport;
using IommuFd.Uapi;
using IommuFd.UnitTests.Devices.Support;
using IommuFd.UnitTests.Support;
using static IommuFd.Devices.DmaTest.DmaTestRegister;
using static IommuFd.UnitTests.Devices.Support.DeviceWorld;

namespace IommuFd.UnitTests.Devices;

/// <summary>The device dma-test, driven through its file, on a real context.</summary>
public sealed class DmaTestTests
{
    private const VfioPciRegion Bar = VfioPciRegion.Bar0;

    [Fact]
    public async Task Copy_moves_bytes_from_one_IOVA_to_another()
    {
        await using var world = await NewWorldAsync();
        var (from, to) = (await world.MapAsync(Base, 2), await world.MapAsync(Base + (8 * Page), 2));
        new Random(1).NextBytes(from.Span);
        var interrupt = (await world.SetInterruptsAsync(VfioPciIrq.Msix, 4))[2];
        Expect.Equal(DmaTestResult.Done, await RunAsync(world, interrupt, DmaTestCommand.Copy, Base + 100, Base + (8 * Page) + 7, 5000), "the copy");
        Expect.That(from.Span.Slice(100, 5000).SequenceEqual(to.Span.Slice(7, 5000)), "The bytes were not copied.");
        Expect.That(to.Span[..7].IndexOfAnyExcept((byte)0) < 0 && to.Span[5007..].IndexOfAnyExcept((byte)0) < 0, "More bytes than those were written.");
    }

    [Fact]
    public async Task Fill_and_check_use_the_pattern_and_say_where_it_is_broken()
    {
        await using var world = await NewWorldAsync();
        var memory = await world.MapAsync(Base, 1);
        var interrupt = (await world.SetInterruptsAsync(VfioPciIrq.Msix, 4))[2];
        await world.Write32Async(Bar, Pattern, 0x4433_2211);
        Expect.Equal(DmaTestResult.Done, await RunAsync(world, interrupt, DmaTestCommand.Fill, 0, Base, 10), "the fill");
        Expect.Sequence([0x11, 0x22, 0x33, 0x44, 0x11, 0x22, 0x33, 0x44, 0x11, 0x22, 0], memory[..11].ToArray().Select(value => (int)value), "what was filled");
        Expect.Equal(DmaTestResult.Done, await RunAsync(world, interrupt, DmaTestCommand.Check, Base, 0, 10), "the check");
        memory.Span[6] = 9;
        Expect.Equal(DmaTestResult.Mismatch, await RunAsync(world, interrupt, DmaTestCommand.Check, Base, 0, 10), "the check of what was changed");
        Expect.Equal(6U, await world.Read32Async(Bar, Offset), "where it was changed");
    }

    [Fact]
    public async Task What_is_refused_changes_nothing_and_is_counted_by_the_device_and_its_context()
    {
        await using var world = await NewWorldAsync();
        var readOnly = await world.MapAsync(Base, 1, DmaAccess.Read);
        var interrupt = (await world.SetInterruptsAsync(VfioPciIrq.Msix, 4))[2];
        (DmaTestCommand Command, ulong Source, ulong Destination, Errno Errno)[] all =
        [
            (DmaTestCommand.Fill, 0, Base, Errno.EPERM),
            (DmaTestCommand.Copy, Base, Base + Page, Errno.ENOENT),
            (DmaTestCommand.Check, Base + Page - 1, 0, Errno.ENOENT),
            (DmaTestCommand.Fill, 0, ulong.MaxValue, Errno.EOVERFLOW),
        ];
        foreach (var ((command, source, destination, errno), count) in all.Select((item, index) => (item, (uint)index + 1)))
        {
            Expect.Equal(DmaTestResult.Refused, await RunAsync(world, interrupt, command, source, destination, 16), $"{command} {count}");
            Expect.Equal((uint)errno, await world.Read32Async(Bar, RefusedErrno), $"the errno of {command} {count}");
            Expect.Equal(count, await world.Read32Async(Bar, Refused), $"refused accesses after {command} {count}");
        }

        Expect.That(readOnly.Span.IndexOfAnyExcept((byte)0) < 0, "Memory that may only be read was written.");
        Expect.Equal(4UL, world.Function.Dma.Counts.Refused, "what the function has counted");
    }

    [Fact]
    public async Task A_device_that_writes_back_what_it_reads_is_refused_by_a_mapping_for_reading()
    {
        await using var world = await NewWorldAsync();
        await world.MapAsync(Base, 1, DmaAccess.Read);
        var interrupt = (await world.SetInterruptsAsync(VfioPciIrq.Msix, 4))[2];
        Expect.Equal(DmaTestResult.Done, await RunAsync(world, interrupt, DmaTestCommand.Load, Base, 0, 16), "a read");
        await world.Write32Async(Bar, Flags, FlagWriteBack);
        Expect.Equal(DmaTestResult.Refused, await RunAsync(world, interrupt, DmaTestCommand.Load, Base, 0, 16), "a read that writes back");
        Expect.Equal((uint)Errno.EPERM, await world.Read32Async(Bar, RefusedErrno), "its errno");
    }

    [Fact]
    public async Task A_device_that_repeats_itself_after_it_was_detached_is_refused()
    {
        await using var world = await NewWorldAsync();
        var memory = await world.MapAsync(Base, 1);
        var interrupt = (await world.SetInterruptsAsync(VfioPciIrq.Msix, 4))[2];
        await world.Write32Async(Bar, Flags, FlagRepeat);
        await world.Write32Async(Bar, Pattern, 1);
        await StartAsync(world, DmaTestCommand.Fill, 0, Base, 16);
        await interrupt.WaitAsync("the first fill");
        await world.DetachAsync();
        while (await world.Read32Async(Bar, Result) != (uint)DmaTestResult.Refused)
        {
            await interrupt.WaitAsync("a repeated fill");
        }

        memory.Span.Clear();
        var refused = await world.Read32Async(Bar, Refused);
        while (await world.Read32Async(Bar, Refused) < refused + 2)
        {
            await interrupt.WaitAsync("a fill of the detached device");
        }

        Expect.That(memory.Span.IndexOfAnyExcept((byte)0) < 0, "A detached device has written.");
        await world.Write32Async(Bar, Command, (uint)DmaTestCommand.Stop);
        await Eventually.TrueAsync(async () => await world.Read32Async(Bar, Status) == 0, "the device has stopped");
        Expect.Equal((uint)DmaTestResult.Aborted, await world.Read32Async(Bar, Result), "the result of what was stopped");
    }

    [Fact]
    public async Task A_command_with_a_PASID_uses_that_PASIDs_page_table()
    {
        await using var world = await NewWorldAsync();
        await world.DetachAsync();
        var other = await world.Context.AllocateIoasAsync();
        foreach (var (pasid, ioas) in new[] { (0U, world.Ioas), (5U, other) })
        {
            var hwpt = await world.Context.AllocateHwptAsync(world.Device.BoundId, ioas, IommuHwptAllocFlags.Pasid);
            var (reply, _) = await world.IoctlAsync(
                VfioDeviceCommand.AttachIommufdPt,
                new VfioDeviceAttachIommufdPt { Argsz = 16, Flags = pasid == 0 ? 0U : (uint)VfioAttachFlags.Pasid, PtId = hwpt.Value, Pasid = pasid });
            Expect.Equal(Errno.None, reply.Errno, $"attaching PASID {pasid}");
        }

        var (own, others) = (await world.MapAsync(Base, 1), await world.MapAsync(Base, 1, ioas: other));
        var interrupt = (await world.SetInterruptsAsync(VfioPciIrq.Msix, 4))[2];
        await world.Write32Async(Bar, Pattern, 7);
        await world.Write32Async(Bar, Pasid, 5);
        Expect.Equal(DmaTestResult.Done, await RunAsync(world, interrupt, DmaTestCommand.Fill, 0, Base, 1), "a fill with PASID 5");
        Expect.Equal((0, 7), (own.Span[0], others.Span[0]), "the memory of the device and of its PASID");
        await world.Write32Async(Bar, Pasid, 6);
        Expect.Equal(DmaTestResult.Refused, await RunAsync(world, interrupt, DmaTestCommand.Fill, 0, Base, 1), "a fill with PASID 6, which is not attached");
    }

    [Fact]
    public async Task Without_bus_mastering_memory_is_not_reached()
    {
        await using var world = await NewWorldAsync();
        await world.MapAsync(Base, 1);
        await world.WriteAsync(VfioPciRegion.Config, 4, new byte[] { 2, 0 });
        var interrupt = (await world.SetInterruptsAsync(VfioPciIrq.Msix, 4))[2];
        Expect.Equal(DmaTestResult.NotMaster, await RunAsync(world, interrupt, DmaTestCommand.Fill, 0, Base, 16), "the fill");
    }

    [Fact]
    public async Task A_store_to_the_mapped_doorbell_starts_a_command_and_the_mapped_window_is_the_devices_memory()
    {
        await using var world = await NewWorldAsync();
        var memory = await world.MapAsync(Base, 2);
        var interrupt = (await world.SetInterruptsAsync(VfioPciIrq.Msix, 4))[2];
        var mapping = world.File.Map(At(Bar, Doorbell), Page, isShared: true);
        var window = world.File.Map(At(Bar, Window), WindowLength, isShared: true);
        Expect.Equal((Errno.None, Doorbell, Window), (mapping.Errno, mapping.Offset, window.Offset), "what was mapped");
        new Random(2).NextBytes(window.Memory!.Bytes.Span.Slice(Window, WindowLength));
        await world.Write64Async(Bar, Destination, Base);
        await world.Write32Async(Bar, Length, WindowLength);
        await world.Write32Async(Bar, Vector, 2);

        BitConverter.TryWriteBytes(mapping.Memory!.Bytes.Span[Doorbell..], (uint)DmaTestCommand.Store);

        await interrupt.WaitAsync("the store");
        Expect.That(window.Memory.Bytes.Span.Slice(Window, WindowLength).SequenceEqual(memory.Span), "The window was not written to memory.");
        Expect.Equal(0U, await world.Read32Async(Bar, Doorbell), "the doorbell that was taken");
    }

    [Fact]
    public async Task Registers_that_are_read_only_keep_their_value()
    {
        await using var world = await NewWorldAsync();
        foreach (var register in (int[])[Id, DmaTestRegister.Version, Status, Result, RefusedErrno, Offset, Done, Refused])
        {
            var before = await world.Read32Async(Bar, register);
            await world.Write32Async(Bar, register, 0xFFFF_FFFF);
            Expect.Equal(before, await world.Read32Async(Bar, register), $"register 0x{register:X} after a write");
        }

        Expect.Equal(IdValue, await world.Read32Async(Bar, Id), "the id");
        await world.WriteAsync(Bar, Source + 3, new byte[] { 0xAB });
        Expect.Equal(0xAB00_0000U, await world.Read32Async(Bar, Source), "a register of which one byte was written");
    }

    [Fact]
    public async Task What_is_no_command_is_refused_as_invalid()
    {
        await using var world = await NewWorldAsync();
        var interrupt = (await world.SetInterruptsAsync(VfioPciIrq.Msix, 4))[2];
        foreach (var (command, length) in new[] { (DmaTestCommand.Copy, 0U), (DmaTestCommand.Copy, MaxLength + 1), (DmaTestCommand.Load, WindowLength + 1U), ((DmaTestCommand)99, 16U) })
        {
            Expect.Equal(DmaTestResult.Invalid, await RunAsync(world, interrupt, command, Base, Base, length), $"{command} of {length} bytes");
        }
    }

    [Fact]
    public async Task A_reset_ends_a_command_and_puts_the_registers_back()
    {
        await using var world = await NewWorldAsync();
        var interrupt = (await world.SetInterruptsAsync(VfioPciIrq.Msix, 4))[2];
        await world.Write32Async(Bar, Flags, FlagRepeat);
        await StartAsync(world, DmaTestCommand.Interrupt, 0, 0, 1);
        await interrupt.WaitAsync("the command");
        Expect.Equal(Errno.None, (await world.IoctlAsync(VfioDeviceCommand.Reset, [])).Errno, "RESET");
        Expect.Equal((0U, 0U, NoVector), (await world.Read32Async(Bar, Status), await world.Read32Async(Bar, Done), await world.Read32Async(Bar, Vector)), "status, count and vector");
        Expect.Equal(6, (await world.ReadAsync(VfioPciRegion.Config, 4, 1))[0], "the command register of the config space, which a reset keeps");
    }

    [Fact]
    public async Task A_function_level_reset_by_the_config_space_does_the_same()
    {
        await using var world = await NewWorldAsync();
        await world.Write32Async(Bar, Pattern, 5);
        var express = world.Function.Config.Find(IommuFd.Devices.Pci.PciCapability.Express);
        await world.WriteAsync(VfioPciRegion.Config, express + 9, new byte[] { 0x80 });
        Expect.Equal(0U, await world.Read32Async(Bar, Pattern), "a register after the reset");
        Expect.Equal(0, (await world.ReadAsync(VfioPciRegion.Config, express + 9, 1))[0] & 0x80, "the bit that has asked for it");
    }

    private static Task<DeviceWorld> NewWorldAsync() => DeviceWorld.AttachedAsync(new DmaTestFunction());

    private static async Task StartAsync(DeviceWorld world, DmaTestCommand command, ulong source, ulong destination, uint length)
    {
        await world.Write64Async(Bar, Source, source);
        await world.Write64Async(Bar, Destination, destination);
        await world.Write32Async(Bar, Length, length);
        await world.Write32Async(Bar, Vector, 2);
        await world.Write32Async(Bar, Command, (uint)command);
    }

    private static async Task<DmaTestResult> RunAsync(DeviceWorld world, TestInterrupt interrupt, DmaTestCommand command, ulong source, ulong destination, uint length)
    {
        await StartAsync(world, command, source, destination, length);
        await interrupt.WaitAsync($"{command}");
        return (DmaTestResult)await world.Read32Async(Bar, Result);
    }
}
