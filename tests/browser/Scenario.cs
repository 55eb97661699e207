using System.Runtime.InteropServices;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.BrowserTests;

/// <summary>
/// A context as a VMM with a device assigned makes it, with an object of every kind: two devices on a shared automatic HWPT, a HWPT of the program's own that
/// tracks dirty pages, an access with a pin, a hold by name, and the selftest's device.
/// </summary>
internal sealed class Scenario : IAsyncDisposable
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
        var command = new byte[Marshal.SizeOf<IommuTestCmd>()];
        var argument = new IommuTestCmd { Size = (uint)command.Length, Op = (uint)IommuTestOp.MockDomain, Id = mock.Value };
        MemoryMarshal.Write(command, argument);
        var result = await context.IoctlAsync((uint)IommuCommand.TestCmd, command);
        Assert.Equal(Errno.None, result.Errno);
        return made;
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
