using System.Runtime.InteropServices;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using Xunit;

namespace IommuFd.TestSupport;

/// <summary>
/// A context as a VMM with a device assigned makes it, with an object of every kind: two devices on a shared automatic HWPT, a HWPT of the program's own that
/// tracks dirty pages, an access with a pin, a hold by name, and the selftest's device with all that a guest with an IOMMU of its own has.
/// </summary>
public sealed class Scenario : IAsyncDisposable
{
    private readonly List<IAsyncDisposable> _open = [];

    private Scenario(IommuContext context) => Context = context;

    public IommuContext Context { get; }

    public ObjectId Guest { get; private set; }

    public ObjectId Spare { get; private set; }

    public IommuDriver Vfio { get; private set; } = null!;

    public IommuDevice Nic { get; private set; } = null!;

    public IommuDevice Gpu { get; private set; } = null!;

    public ObjectId Hwpt { get; private set; }

    public ObjectId Dirty { get; private set; }

    public IommuAccess Mdev { get; private set; } = null!;

    public IommuHold Hold { get; private set; } = null!;

    public Memory<byte> Ram { get; private set; }

    public static async Task<Scenario> OpenAsync(IommufdClient client, string name = "qemu-guest-7", ContextMode? mode = null)
    {
        var made = new Scenario(await client.OpenAsync(name, mode));
        var context = made.Context;
        made.Guest = await context.AllocateIoasAsync();
        made.Spare = await context.AllocateIoasAsync();

        made.Ram = DmaMemory.Allocate(1 << 20);
        await context.MapAsync(made.Guest, made.Ram[..(640 * 1024)], iova: new Iova(0));
        await context.MapAsync(made.Guest, made.Ram[(768 * 1024)..], iova: new Iova(0x10_0000));
        await context.MapAsync(made.Guest, DmaMemory.Allocate(64 * 1024), iova: new Iova(0x8000_0000));
        await context.AllowIovasAsync(made.Spare, [new IovaRange(0x1000_0000, 0x1FFF_FFFF), new IovaRange(0x1_0000_0000, 0x1_FFFF_FFFF)]);

        made.Vfio = made.Keep(await client.GetDriverAsync(context.Handle, "vfio-pci"));
        made.Nic = made.Keep(await made.Vfio.BindDeviceAsync(new DeviceDescription { Name = "0000:01:00.0", Iommu = DeviceDescription.PciIommu }));
        made.Gpu = made.Keep(await made.Vfio.BindDeviceAsync(new DeviceDescription { Name = "0000:02:00.0", Iommu = DeviceDescription.PciIommu, TracksDirtyPages = true }));
        made.Hwpt = await made.Nic.AttachAsync(made.Guest);
        made.Dirty = await context.AllocateHwptAsync(made.Gpu.Id, made.Guest, IommuHwptAllocFlags.DirtyTracking);
        await made.Gpu.AttachAsync(made.Dirty);
        await context.SetDirtyTrackingAsync(made.Dirty, true);

        var mdev = made.Keep(await client.GetDriverAsync(context.Handle, "mdev vfio-ccw"));
        made.Mdev = made.Keep(await mdev.CreateAccessAsync(made.Guest, context.Memory, needsPinPages: true));
        made.Keep(await made.Mdev.PinAsync(new IovaRange(0x10_0000, 0x10_3FFF), write: true));
        made.Hold = made.Keep(await mdev.HoldAsync(made.Spare, "snapshot in progress"));

        // The selftest's device, as a test program makes one: IOMMU_TEST_CMD with op MOCK_DOMAIN on an IOAS of its own.
        var mock = await context.AllocateIoasAsync();
        var test = await RunAsync(context, IommuCommand.TestCmd, new IommuTestCmd { Op = (uint)IommuTestOp.MockDomain, Id = mock.Value });
        await MakeGuestIommuAsync(context, mock, test.Fields.As<IommuTestMockDomain>().OutIdevId);
        return made;
    }

    // A vIOMMU with a device, an event queue and a hardware queue, and a page table of the guest's whose page faults go to a queue.
    private static async Task MakeGuestIommuAsync(IommuContext context, ObjectId ioas, uint device)
    {
        const ulong Data = 0x1000;
        await context.MapAsync(ioas, DmaMemory.Allocate(4096), iova: new Iova(0x100_0000));
        var parent = await RunAsync(context, IommuCommand.HwptAlloc, new IommuHwptAlloc { DevId = device, PtId = ioas.Value, Flags = (uint)IommuHwptAllocFlags.NestParent });
        var viommu = await RunAsync(context, IommuCommand.ViommuAlloc, new IommuViommuAlloc { Type = (uint)IommuViommuType.Selftest, DevId = device, HwptId = parent.OutHwptId });
        await RunAsync(context, IommuCommand.VdeviceAlloc, new IommuVdeviceAlloc { ViommuId = viommu.OutViommuId, DevId = device, VirtId = 0x10 });
        await RunAsync(
            context, IommuCommand.VeventqAlloc, new IommuVeventqAlloc { ViommuId = viommu.OutViommuId, Type = (uint)IommuVeventqType.Selftest, VeventqDepth = 8 });
        await RunAsync(
            context,
            IommuCommand.HwQueueAlloc,
            new IommuHwQueueAlloc { ViommuId = viommu.OutViommuId, Type = (uint)IommuHwQueueType.Selftest, NestingParentIova = 0x100_0000, Length = 4096 });
        var faults = await RunAsync(context, IommuCommand.FaultQueueAlloc, default(IommuFaultAlloc));
        var config = new byte[Marshal.SizeOf<IommuHwptSelftest>()];
        var nested = new IommuHwptAlloc
        {
            DevId = device,
            PtId = viommu.OutViommuId,
            Flags = (uint)IommuHwptAllocFlags.FaultIdValid,
            FaultId = faults.OutFaultId,
            DataType = (uint)IommuHwptDataType.Selftest,
            DataLen = (uint)config.Length,
            DataUptr = Data,
        };
        await RunAsync(context, IommuCommand.HwptAlloc, nested, new CallerMemory().Add(Data, config));
    }

    private static async Task<T> RunAsync<T>(IommuContext context, IommuCommand command, T argument, CallerMemory? memory = null)
        where T : unmanaged
    {
        var bytes = new byte[Marshal.SizeOf<T>()];
        MemoryMarshal.Write(bytes, argument);
        MemoryMarshal.Write(bytes, (uint)bytes.Length);
        var result = await context.IoctlAsync((uint)command, bytes, memory ?? new CallerMemory());
        Assert.Equal(Errno.None, result.Errno);
        return MemoryMarshal.Read<T>(bytes);
    }

    /// <summary>Ends what was opened, the latest first, whatever of it has ended already.</summary>
    public async ValueTask DisposeAsync()
    {
        foreach (var open in Enumerable.Reverse(_open))
        {
            await open.DisposeAsync();
        }

        await Context.DisposeAsync();
    }

    private T Keep<T>(T open)
        where T : IAsyncDisposable
    {
        _open.Add(open);
        return open;
    }
}
