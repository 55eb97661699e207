using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using IommuFd.Client;
using IommuFd.Devices.Pci;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Devices.Vfio;

/// <summary>A device file of a C# program, bound to a context, with its ioctls as methods. Disposing closes the file. Thread-safe.</summary>
public sealed class VfioUserDevice : IAsyncDisposable
{
    private readonly VfioProgram _program;

    private VfioUserDevice(VfioDeviceFile file, VfioProgram program) => (File, _program) = (file, program);

    /// <summary>The file, for raw ioctls.</summary>
    public VfioDeviceFile File { get; }

    /// <summary>The device's id in its context.</summary>
    public ObjectId Id { get; private set; }

    /// <summary>Opens a device's file and binds it to a context.</summary>
    /// <param name="device">The device.</param>
    /// <param name="program">The program's descriptors.</param>
    /// <param name="context">The context's descriptor: <see cref="VfioProgram.Add(IommuContext)"/>.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>The bound device.</returns>
    /// <exception cref="IommufdException">EINVAL if a file has bound it, EPERM if its group is another context's, or what the context answers.</exception>
    public static async Task<VfioUserDevice> OpenAsync(VfioDevice device, VfioProgram program, int context, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(device);
        ArgumentNullException.ThrowIfNull(program);
        var user = new VfioUserDevice(device.Open(), program);
        try
        {
            var bind = new VfioDeviceBindIommufd { Argsz = (uint)Unsafe.SizeOf<VfioDeviceBindIommufd>(), Iommufd = context };
            user.Id = new ObjectId((await user.RunAsync(VfioDeviceCommand.BindIommufd, bind, cancellationToken: cancellationToken)).OutDevId);
            return user;
        }
        catch
        {
            await user.DisposeAsync();
            throw;
        }
    }

    /// <summary>VFIO_DEVICE_ATTACH_IOMMUFD_PT.</summary>
    /// <param name="pageTable">An IOAS or a HWPT.</param>
    /// <param name="pasid">A PASID of the device; null for the device itself.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>The HWPT.</returns>
    /// <exception cref="IommufdException">As <see cref="IommuDevice.AttachAsync"/>.</exception>
    public async Task<ObjectId> AttachAsync(ObjectId pageTable, uint? pasid = null, CancellationToken cancellationToken = default)
    {
        var attach = new VfioDeviceAttachIommufdPt
        {
            Argsz = (uint)Unsafe.SizeOf<VfioDeviceAttachIommufdPt>(),
            Flags = (uint)(pasid is null ? VfioAttachFlags.None : VfioAttachFlags.Pasid),
            PtId = pageTable.Value,
            Pasid = pasid ?? 0,
        };
        return new ObjectId((await RunAsync(VfioDeviceCommand.AttachIommufdPt, attach, cancellationToken: cancellationToken)).PtId);
    }

    /// <summary>VFIO_DEVICE_DETACH_IOMMUFD_PT.</summary>
    /// <param name="pasid">A PASID of the device; null for the device itself.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>Completes when it is detached.</returns>
    public Task DetachAsync(uint? pasid = null, CancellationToken cancellationToken = default)
    {
        var detach = new VfioDeviceDetachIommufdPt
        {
            Argsz = (uint)Unsafe.SizeOf<VfioDeviceDetachIommufdPt>(),
            Flags = (uint)(pasid is null ? VfioAttachFlags.None : VfioAttachFlags.Pasid),
            Pasid = pasid ?? 0,
        };
        return RunAsync(VfioDeviceCommand.DetachIommufdPt, detach, cancellationToken: cancellationToken);
    }

    /// <summary>Enables or disables memory decode and bus mastering, in the command register.</summary>
    /// <param name="memory">Whether BARs answer.</param>
    /// <param name="master">Whether the device may access memory.</param>
    /// <returns>Completes when the register is written.</returns>
    public Task EnableAsync(bool memory = true, bool master = true)
    {
        var value = (memory ? PciRegister.CommandMemory : 0) | (master ? PciRegister.CommandMaster : 0);
        return WriteAsync(VfioPciRegion.Config, PciRegister.Command, BitConverter.GetBytes((ushort)value));
    }

    /// <summary>Lets interrupts of a kind, from the first on, tell of themselves.</summary>
    /// <param name="index">The kind.</param>
    /// <param name="interrupts">Whom each tells.</param>
    /// <returns>Completes when they are enabled.</returns>
    /// <exception cref="IommufdException">EINVAL if there are fewer, or another kind is enabled.</exception>
    public Task SetInterruptsAsync(VfioPciIrq index, params IInterrupt[] interrupts)
    {
        ArgumentNullException.ThrowIfNull(interrupts);
        var data = new byte[interrupts.Length * sizeof(int)];
        for (var i = 0; i < interrupts.Length; i++)
        {
            BinaryPrimitives.WriteInt32LittleEndian(data.AsSpan(i * sizeof(int)), _program.Add(interrupts[i]));
        }

        var set = new VfioIrqSet
        {
            Argsz = (uint)(Unsafe.SizeOf<VfioIrqSet>() + data.Length),
            Flags = (uint)(VfioIrqSetFlags.DataEventFd | VfioIrqSetFlags.ActionTrigger),
            Index = (uint)index,
            Count = (uint)interrupts.Length,
        };
        return RunAsync(VfioDeviceCommand.SetIrqs, set, data);
    }

    /// <summary>VFIO_DEVICE_FEATURE_DMA_BUF: exports a part of a BAR, which contexts map by <see cref="IommuContext.MapFileAsync"/> so that other devices reach it.</summary>
    /// <param name="region">The BAR.</param>
    /// <param name="offsetBytes">The first byte: a multiple of the page size.</param>
    /// <param name="lengthBytes">Bytes: whole pages.</param>
    /// <returns>The dma-buf. It is revoked when memory decode goes off and when the device is reset, and for good when the file is closed.</returns>
    /// <exception cref="IommufdException">EINVAL if the range is not part of a BAR, ENODEV if the region is not a BAR.</exception>
    public async Task<DmaBuf> ExportAsync(VfioPciRegion region, ulong offsetBytes, ulong lengthBytes)
    {
        var range = new VfioRegionDmaRange { Offset = offsetBytes, Length = lengthBytes };
        byte[] wanted = [.. UapiStruct.ToBytes(new VfioDeviceFeatureDmaBuf { RegionIndex = (uint)region, NrRanges = 1 }), .. UapiStruct.ToBytes(in range)];
        var feature = new VfioDeviceFeature { Argsz = (uint)(Unsafe.SizeOf<VfioDeviceFeature>() + wanted.Length), Flags = (uint)VfioFeatureFlags.Get | (uint)VfioFeature.DmaBuf };
        byte[] argument = [.. UapiStruct.ToBytes(in feature), .. wanted];
        var reply = await File.IoctlAsync(new VfioIoctl((uint)VfioDeviceCommand.Feature, argument, argument.Length), _program);
        ThrowIfFailed(VfioDeviceCommand.Feature, reply);
        return reply.DmaBuf!;
    }

    /// <summary>VFIO_DEVICE_RESET.</summary>
    /// <returns>Completes when the device is reset.</returns>
    public async Task ResetAsync() => ThrowIfFailed(VfioDeviceCommand.Reset, await File.IoctlAsync(new VfioIoctl((uint)VfioDeviceCommand.Reset, default, 0), _program));

    /// <summary>Reads a register of 32 bits.</summary>
    /// <param name="region">The region.</param>
    /// <param name="offset">Where it is.</param>
    /// <returns>Its value.</returns>
    /// <exception cref="IommufdException">EIO if BARs don't answer.</exception>
    public async Task<uint> Read32Async(VfioPciRegion region, int offset)
    {
        var bytes = new byte[sizeof(uint)];
        ThrowIfFailed("pread", await File.ReadAsync(At(region, offset), bytes));
        return BinaryPrimitives.ReadUInt32LittleEndian(bytes);
    }

    /// <summary>Writes a register of 32 bits.</summary>
    /// <param name="region">The region.</param>
    /// <param name="offset">Where it is.</param>
    /// <param name="value">Its value.</param>
    /// <returns>Completes when the device has seen it.</returns>
    /// <exception cref="IommufdException">EIO if BARs don't answer.</exception>
    public Task Write32Async(VfioPciRegion region, int offset, uint value) => WriteAsync(region, offset, BitConverter.GetBytes(value));

    /// <summary>Writes a register of 64 bits.</summary>
    /// <param name="region">The region.</param>
    /// <param name="offset">Where it is.</param>
    /// <param name="value">Its value.</param>
    /// <returns>Completes when the device has seen it.</returns>
    /// <exception cref="IommufdException">EIO if BARs don't answer.</exception>
    public Task Write64Async(VfioPciRegion region, int offset, ulong value) => WriteAsync(region, offset, BitConverter.GetBytes(value));

    /// <summary>Maps a part of a BAR into this program.</summary>
    /// <param name="region">The BAR.</param>
    /// <param name="offset">The first byte: a multiple of the page size.</param>
    /// <param name="length">Bytes.</param>
    /// <returns>The memory: what is stored there the device finds.</returns>
    /// <exception cref="IommufdException">EINVAL if the part can't be mapped.</exception>
    public Memory<byte> Map(VfioPciRegion region, int offset, int length)
    {
        var mapping = File.Map(At(region, offset), (ulong)length, isShared: true);
        return mapping.Errno == Errno.None ? mapping.Memory!.Bytes.Slice(mapping.Offset, length) : throw new IommufdException("mmap", mapping.Errno, null);
    }

    /// <summary>Closes the file: the device is reset, detached and unbound.</summary>
    /// <returns>Completes when the device is free.</returns>
    public ValueTask DisposeAsync() => File.DisposeAsync();

    private static ulong At(VfioPciRegion region, int offset) => ((ulong)region << VfioRegions.OffsetShift) | (uint)offset;

    private async Task WriteAsync(VfioPciRegion region, int offset, byte[] bytes) => ThrowIfFailed("pwrite", await File.WriteAsync(At(region, offset), bytes));

    private async Task<T> RunAsync<T>(VfioDeviceCommand command, T argument, byte[]? rest = null, CancellationToken cancellationToken = default)
        where T : unmanaged
    {
        byte[] bytes = [.. UapiStruct.ToBytes(in argument), .. rest ?? []];
        var reply = await File.IoctlAsync(new VfioIoctl((uint)command, bytes, bytes.Length), _program, cancellationToken);
        ThrowIfFailed(command, reply);
        reply.Argument.CopyTo(bytes);
        return UapiStruct.Read<T>(bytes);
    }

    private static void ThrowIfFailed(VfioDeviceCommand command, VfioReply reply) => ThrowIfFailed($"VFIO_DEVICE {command}", reply);

    private static void ThrowIfFailed(string operation, VfioReply reply)
    {
        if (reply.Errno != Errno.None)
        {
            throw new IommufdException(operation, reply.Errno, null);
        }
    }
}
