using IommuFd.Client;
using IommuFd.Devices.DmaTest;
using IommuFd.Devices.Pci;
using IommuFd.Devices.Vfio;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Devices.Support;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Devices;

/// <summary>dma-bufs: a BAR that one device exports is memory that another reaches, in whatever context, until its exporter revokes it.</summary>
public sealed class DmaBufTests
{
    private const ulong Page = 4096, Window = 0x2000;
    private const ulong Base = 0x10_0000;
    private const uint TestCmd = (uint)IommuCommand.TestCmd;

    private readonly IommufdClient _client = new(new ModelChannel());

    [Fact]
    public async Task A_device_reaches_what_another_has_exported_with_the_permission_of_the_mapping()
    {
        await using var world = await TwoDevices.NewAsync(_client);
        var exported = await world.Exporter.ExportAsync(VfioPciRegion.Bar0, Window, 2 * Page);
        await world.Context.MapFileAsync(world.Ioas, exported.File, Page, Page, new Iova(Base));
        await world.Context.MapFileAsync(world.Ioas, exported.File, 0, Page, new Iova(Base + Page), DmaAccess.Read);

        Expect.Equal(DmaTestResult.Done, await world.FillAsync(Base + 64, 0xA1B2C3D4), "a write to the second page of the window");
        Expect.Equal(0xA1B2C3D4U, await world.Exporter.Read32Async(VfioPciRegion.Bar0, (int)(Window + Page + 64)), "what was written");
        Expect.Equal(DmaTestResult.Refused, await world.FillAsync(Base + Page, 1), "a write to what is mapped for reading");
        Expect.Equal(0U, await world.Exporter.Read32Async(VfioPciRegion.Bar0, (int)Window), "what may not be written");
    }

    [Fact]
    public async Task Revoking_ends_every_mapping_in_every_context_and_a_copy_too()
    {
        await using var world = await TwoDevices.NewAsync(_client);
        await using var other = await _client.OpenAsync();
        var (copy, foreign) = (await world.Context.AllocateIoasAsync(), await other.AllocateIoasAsync());
        var exported = await world.Exporter.ExportAsync(VfioPciRegion.Bar0, Window, Page);
        await world.Context.MapFileAsync(world.Ioas, exported.File, 0, Page, new Iova(Base));
        await world.Context.CopyAsync(world.Ioas, new IovaRange(Base, Base + Page - 1), copy);
        await other.MapFileAsync(foreign, exported.File, 0, Page, new Iova(Base));
        await world.Exporter.EnableAsync(memory: false, master: false);

        Expect.Equal(DmaTestResult.Refused, await world.FillAsync(Base, 1), "a write to what was revoked");
        foreach (var (context, ioas, what) in (IEnumerable<(IommuContext, ObjectId, string)>)[(world.Context, world.Ioas, "the mapping"), (world.Context, copy, "its copy"), (other, foreign, "another context's mapping")])
        {
            Expect.That((await AreaAsync(context, ioas)).IsRevoked, $"{what} is not revoked.");
        }

        Expect.Equal(Errno.ENODEV, (await Assert.ThrowsAsync<IommufdException>(async () => await other.MapFileAsync(foreign, exported.File, 0, Page))).Errno, "mapping what is revoked");
        await world.Exporter.EnableAsync(memory: true, master: false);
        Expect.Equal(DmaTestResult.Refused, await world.FillAsync(Base, 1), "a write to what was revoked, now that memory is decoded again");
        Expect.Equal(Page, await world.Context.UnmapAsync(world.Ioas, new IovaRange(Base, Base + Page - 1)), "bytes that are unmapped");
        await world.Context.MapFileAsync(world.Ioas, exported.File, 0, Page, new Iova(Base));
        Expect.Equal(DmaTestResult.Done, await world.FillAsync(Base, 7), "a write to what is mapped again");
    }

    [Fact]
    public async Task A_reset_and_the_exporters_close_revoke_what_was_exported()
    {
        await using var world = await TwoDevices.NewAsync(_client);
        var exported = await world.Exporter.ExportAsync(VfioPciRegion.Bar0, Window, Page);
        await world.Context.MapFileAsync(world.Ioas, exported.File, 0, Page, new Iova(Base));
        await world.Exporter.ResetAsync();
        Expect.That((await AreaAsync(world.Context, world.Ioas)).IsRevoked && !exported.IsRevoked, "A reset has not revoked what was mapped, or has not restored what can be mapped.");

        await world.Context.UnmapAsync(world.Ioas, IovaRange.All);
        await world.Context.MapFileAsync(world.Ioas, exported.File, 0, Page, new Iova(Base));
        await world.Exporter.DisposeAsync();
        Expect.That((await AreaAsync(world.Context, world.Ioas)).IsRevoked && exported.IsRevoked, "Closing the exporter has not revoked what was exported.");
        Expect.Equal(DmaTestResult.Refused, await world.FillAsync(Base, 1), "a write once the exporter is closed");
    }

    [Fact]
    public async Task The_registers_of_a_device_are_no_memory_that_another_reaches()
    {
        await using var world = await TwoDevices.NewAsync(_client);
        var exported = await world.Exporter.ExportAsync(VfioPciRegion.Bar0, 0, Page);
        await world.Context.MapFileAsync(world.Ioas, exported.File, 0, Page, new Iova(Base));

        Expect.Equal((DmaTestResult.Refused, (uint)Errno.EFAULT), (await world.FillAsync(Base + 0x10, 1), await world.Device.Read32Async(VfioPciRegion.Bar0, (int)DmaTestRegister.RefusedErrno)), "a write to registers");
    }

    [Fact]
    public async Task One_context_too_many_is_ENOMEM_until_the_dma_buf_is_revoked()
    {
        var exported = new DmaBuf("test", Page);
        for (var i = 0; i < DmaBuf.MaxContexts; i++)
        {
            await using var context = await _client.OpenAsync();
            await context.MapFileAsync(await context.AllocateIoasAsync(), exported.File, 0, Page);
        }

        await using var last = await _client.OpenAsync();
        var ioas = await last.AllocateIoasAsync();
        var refused = await Assert.ThrowsAsync<IommufdException>(async () => await last.MapFileAsync(ioas, exported.File, 0, Page));
        Expect.Equal((Errno.ENOMEM, DiagnosticReason.DmaBufInUse), (refused.Errno, refused.Diagnostic!.Reason), "one context too many");
        await exported.RevokeAsync();
        exported.Restore();
        await last.MapFileAsync(ioas, exported.File, 0, Page);
        Expect.That(!(await AreaAsync(last, ioas)).IsRevoked, "What was mapped after the dma-buf was restored is revoked.");
    }

    [Fact]
    public async Task The_selftests_dma_buf_is_a_descriptor_that_the_ioctl_returns()
    {
        await using var context = await _client.OpenAsync();
        var (memory, ioas) = (new CallerMemory { FirstFileDescriptor = 20 }, await context.AllocateIoasAsync());
        var made = await context.IoctlAsync(TestCmd, Test(IommuTestOp.DmabufGet, new IommuTestDmabufGet { Length = (uint)Page + 1 }), memory);
        Expect.Equal((Errno.None, 20), (made.Errno, made.ReturnValue), "DMABUF_GET");
        Expect.Equal(Errno.EMFILE, (await context.IoctlAsync(TestCmd, Test(IommuTestOp.DmabufGet, new IommuTestDmabufGet { Length = 1 }))).Errno, "DMABUF_GET without descriptors");
        var file = memory.FindFile(20)!;
        Expect.Equal(2 * Page, file.LengthBytes, "its length");
        await context.MapFileAsync(ioas, file, 0, 2 * Page, new Iova(Base));

        Expect.Equal(Errno.None, (await context.IoctlAsync(TestCmd, Test(IommuTestOp.DmabufRevoke, new IommuTestDmabufRevoke { DmabufFd = 20, Revoked = 1 }), memory)).Errno, "DMABUF_REVOKE");
        Expect.That((await AreaAsync(context, ioas)).IsRevoked, "DMABUF_REVOKE has not revoked what was mapped.");
        Expect.Equal(DmaBufState.Revoked, memory.FindFile(20)!.DmaBuf!.State, "the dma-buf");
        Expect.Equal(Errno.None, (await context.IoctlAsync(TestCmd, Test(IommuTestOp.DmabufRevoke, new IommuTestDmabufRevoke { DmabufFd = 20 }), memory)).Errno, "DMABUF_REVOKE, which restores");
        Expect.Equal(DmaBufState.Mappable, memory.FindFile(20)!.DmaBuf!.State, "the restored dma-buf");
        Expect.That(await memory.CloseFileAsync(20) && memory.FindFile(20) is null, "The descriptor was not closed.");
    }

    private static byte[] Test<T>(IommuTestOp op, T fields)
        where T : unmanaged
        => UapiStruct.ToBytes(new IommuTestCmd { Size = 72, Op = (uint)op, Fields = IommuTestCmdUnion.Of(in fields) });

    private static async Task<IoasArea> AreaAsync(IommuContext context, ObjectId ioas)
    {
        var shown = await context.InspectObjectAsync(ioas, new StatePage(0, 1));
        return ((IoasState)shown!.State!).Areas.Single();
    }

    /// <summary>A machine with two devices dma-test, both bound to one context. The second is attached.</summary>
    private sealed class TwoDevices : IAsyncDisposable
    {
        private readonly VfioMachine _machine = new();

        public IommuContext Context { get; private set; } = null!;

        public ObjectId Ioas { get; private set; }

        public VfioUserDevice Exporter { get; private set; } = null!;

        public VfioUserDevice Device { get; private set; } = null!;

        public static async Task<TwoDevices> NewAsync(IommufdClient client)
        {
            var (world, program) = (new TwoDevices(), new VfioProgram(client));
            world._machine.Add(new PciAddress(0, 1, 0, 0), new DmaTestFunction());
            world._machine.Add(new PciAddress(0, 2, 0, 0), new DmaTestFunction());
            world.Context = await client.OpenAsync();
            world.Ioas = await world.Context.AllocateIoasAsync();
            var descriptor = program.Add(world.Context);
            world.Exporter = await VfioUserDevice.OpenAsync(world._machine.Devices[0], program, descriptor);
            world.Device = await VfioUserDevice.OpenAsync(world._machine.Devices[1], program, descriptor);
            await world.Device.AttachAsync(world.Ioas);
            await world.Device.EnableAsync();
            return world;
        }

        /// <summary>Has the second device write a pattern.</summary>
        public async Task<DmaTestResult> FillAsync(ulong iova, uint pattern)
        {
            var region = VfioPciRegion.Bar0;
            await Device.Write64Async(region, (int)DmaTestRegister.Destination, iova);
            await Device.Write32Async(region, (int)DmaTestRegister.Length, 16);
            await Device.Write32Async(region, (int)DmaTestRegister.Pattern, pattern);
            await Device.Write32Async(region, (int)DmaTestRegister.Command, (uint)DmaTestCommand.Fill);
            while ((await Device.Read32Async(region, (int)DmaTestRegister.Status) & 1) != 0)
            {
                // The command runs.
            }

            return (DmaTestResult)await Device.Read32Async(region, (int)DmaTestRegister.Result);
        }

        public async ValueTask DisposeAsync()
        {
            await Device.DisposeAsync();
            await Exporter.DisposeAsync();
            await Context.DisposeAsync();
            foreach (var device in _machine.Devices)
            {
                device.Function.Dispose();
            }
        }
    }
}
