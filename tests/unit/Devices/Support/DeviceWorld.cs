using System.Buffers.Binary;
using IommuFd.Client;
using IommuFd.Devices.Pci;
using IommuFd.Devices.Vfio;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Devices.Support;

/// <summary>A machine with one device, and a program with a context.</summary>
internal sealed class DeviceWorld : IAsyncDisposable
{
    public const ulong Page = 4096;
    public const ulong Base = 0x10_0000;

    private DeviceWorld(PciFunction function, IommufdClient client)
    {
        (Client, Program) = (client, new TestProgram(client));
        Device = Machine.Add(new PciAddress(0, 1, 0, 0), function, new DeviceDescription { Name = "", Iommu = DeviceDescription.PciIommu, PasidWidth = 4 });
        File = Device.Open();
    }

    public IommufdClient Client { get; }

    public VfioMachine Machine { get; } = new();

    public VfioDevice Device { get; }

    public PciFunction Function => Device.Function;

    public VfioDeviceFile File { get; }

    public TestProgram Program { get; }

    public IommuContext Context { get; private set; } = null!;

    public int ContextDescriptor { get; private set; }

    public ObjectId Ioas { get; private set; }

    /// <summary>A world whose device is not bound.</summary>
    public static async Task<DeviceWorld> NewAsync(PciFunction function)
    {
        var world = new DeviceWorld(function, new IommufdClient(new ModelChannel()));
        (world.ContextDescriptor, world.Context) = await world.Program.OpenContextAsync();
        world.Ioas = await world.Context.AllocateIoasAsync();
        return world;
    }

    /// <summary>A world whose device is bound, attached, and master of the bus.</summary>
    public static async Task<DeviceWorld> AttachedAsync(PciFunction function)
    {
        var world = await NewAsync(function);
        await world.BindAsync();
        await world.AttachAsync(world.Ioas);
        await world.WriteAsync(VfioPciRegion.Config, 4, new byte[] { 6, 0 });
        return world;
    }

    /// <summary>The bytes of a struct, and what follows it.</summary>
    public static byte[] Bytes<T>(T argument, params byte[] rest)
        where T : unmanaged
        => [.. UapiStruct.ToBytes(in argument), .. rest];

    public async Task BindAsync()
    {
        var (reply, _) = await IoctlAsync(VfioDeviceCommand.BindIommufd, new VfioDeviceBindIommufd { Argsz = 24, Iommufd = ContextDescriptor });
        Expect.Equal(Errno.None, reply.Errno, "BIND");
    }

    /// <summary>Attaches the device; answers the HWPT.</summary>
    public async Task<ObjectId> AttachAsync(ObjectId pageTable)
    {
        var (reply, attach) = await IoctlAsync(VfioDeviceCommand.AttachIommufdPt, new VfioDeviceAttachIommufdPt { Argsz = 12, PtId = pageTable.Value });
        Expect.Equal(Errno.None, reply.Errno, $"ATTACH to {pageTable}");
        return new ObjectId(attach.PtId);
    }

    public async Task DetachAsync()
        => Expect.Equal(Errno.None, (await IoctlAsync(VfioDeviceCommand.DetachIommufdPt, new VfioDeviceDetachIommufdPt { Argsz = 8 })).Reply.Errno, "DETACH");

    /// <summary>Runs an ioctl whose argument is a struct, and what follows it.</summary>
    public async Task<(VfioReply Reply, T Argument)> IoctlAsync<T>(VfioDeviceCommand command, T argument, byte[]? rest = null, VfioDeviceFile? file = null)
        where T : unmanaged
    {
        var bytes = Bytes(argument, rest ?? []);
        var reply = await IoctlAsync(command, bytes, file: file);
        reply.Argument.CopyTo(bytes);
        return (reply, UapiStruct.Read<T>(bytes));
    }

    public ValueTask<VfioReply> IoctlAsync(VfioDeviceCommand command, byte[] argument, int? writable = null, VfioDeviceFile? file = null)
        => (file ?? File).IoctlAsync(new VfioIoctl((uint)command, argument, writable ?? argument.Length), Program);

    public async Task<byte[]> ReadAsync(VfioPciRegion region, int offset, int length)
    {
        var bytes = new byte[length];
        var reply = await File.ReadAsync(At(region, offset), bytes);
        Expect.Equal((Errno.None, length), (reply.Errno, reply.Result), $"reading {length} bytes at 0x{offset:X} of {region}");
        return bytes;
    }

    public async Task<uint> Read32Async(VfioPciRegion region, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(await ReadAsync(region, offset, 4));

    public async Task WriteAsync(VfioPciRegion region, int offset, ReadOnlyMemory<byte> bytes)
    {
        var reply = await File.WriteAsync(At(region, offset), bytes);
        Expect.Equal((Errno.None, bytes.Length), (reply.Errno, reply.Result), $"writing {bytes.Length} bytes at 0x{offset:X} of {region}");
    }

    public Task Write32Async(VfioPciRegion region, int offset, uint value) => WriteAsync(region, offset, BitConverter.GetBytes(value));

    public Task Write64Async(VfioPciRegion region, int offset, ulong value) => WriteAsync(region, offset, BitConverter.GetBytes(value));

    /// <summary>Maps pages of memory at an IOVA.</summary>
    public async Task<Memory<byte>> MapAsync(ulong iova, int pages, DmaAccess access = DmaAccess.ReadWrite, ObjectId ioas = default)
    {
        var memory = DmaMemory.Allocate(pages * (int)Page);
        await Context.MapAsync(ioas == default ? Ioas : ioas, memory, new Iova(iova), access);
        return memory;
    }

    /// <summary>Lets interrupts of a kind, from the first on, tell eventfds.</summary>
    public async Task<TestInterrupt[]> SetInterruptsAsync(VfioPciIrq index, int count)
    {
        var opened = Enumerable.Range(0, count).Select(_ => Program.OpenEventFd()).ToArray();
        var flags = VfioIrqSetFlags.DataEventFd | VfioIrqSetFlags.ActionTrigger;
        var (reply, _) = await IoctlAsync(
            VfioDeviceCommand.SetIrqs,
            new VfioIrqSet { Argsz = 20 + (4 * (uint)count), Flags = (uint)flags, Index = (uint)index, Count = (uint)count },
            [.. opened.SelectMany(eventFd => BitConverter.GetBytes(eventFd.Descriptor))]);
        Expect.Equal(Errno.None, reply.Errno, $"SET_IRQS of {count} {index}");
        return [.. opened.Select(eventFd => eventFd.Interrupt)];
    }

    public async ValueTask DisposeAsync()
    {
        await File.DisposeAsync();
        await Context.DisposeAsync();
        Client.Stop();
        Function.Dispose();
    }

    public static ulong At(VfioPciRegion region, int offset) => ((ulong)region << 40) | (uint)offset;
}
