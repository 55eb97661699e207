using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <content>Typed commands on what a guest sees of its IOMMU: nested page tables, vIOMMUs, and the queues of faults and events.</content>
public sealed partial class IommuContext
{
    // Where the data of a command lies for the service, which takes 0 for a missing address.
    private const ulong DataAddress = 0x1000;

    /// <summary><c>IOMMU_HWPT_ALLOC</c>: allocates a nested page table, which a guest has made and which a HWPT or a vIOMMU translates further.</summary>
    /// <param name="device">The device that the page table is for.</param>
    /// <param name="parent">A HWPT that was allocated with <see cref="IommuHwptAllocFlags.NestParent"/>, or a vIOMMU.</param>
    /// <param name="type">The kind of the data.</param>
    /// <param name="data">The guest's page table, as the IOMMU of this kind describes it.</param>
    /// <param name="flags">What the page table must support.</param>
    /// <param name="faultQueue">The fault queue that gets the page faults of attached devices, by the flag <see cref="IommuHwptAllocFlags.FaultIdValid"/>; default for none.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>The nested HWPT.</returns>
    /// <exception cref="IommufdException">
    /// ENOENT if there is no such device or fault queue; EINVAL if there is no such parent, if it is none or belongs to another IOMMU, or if the
    /// data has the wrong length; EOPNOTSUPP if the IOMMU does not support the kind of data or the flags.
    /// </exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask<ObjectId> AllocateNestedHwptAsync(
        ObjectId device,
        ObjectId parent,
        IommuHwptDataType type,
        ReadOnlyMemory<byte> data,
        IommuHwptAllocFlags flags = IommuHwptAllocFlags.None,
        ObjectId faultQueue = default,
        CancellationToken cancellationToken = default)
    {
        var cmd = HwptAlloc(device, parent, flags, faultQueue) with { DataType = (uint)type, DataLen = (uint)data.Length, DataUptr = DataAddress };
        var (result, answer) = await RunAsync(IommuCommand.HwptAlloc, cmd, MemoryMarshal.AsMemory(data), cancellationToken);
        result.ThrowIfFailed();
        return new ObjectId(answer.OutHwptId);
    }

    /// <summary><c>IOMMU_HWPT_ALLOC</c>: allocates a nested page table that a struct describes.</summary>
    /// <typeparam name="T">The struct, such as <see cref="IommuHwptArmSmmuv3"/>.</typeparam>
    /// <param name="device">The device that the page table is for.</param>
    /// <param name="parent">A HWPT that was allocated with <see cref="IommuHwptAllocFlags.NestParent"/>, or a vIOMMU.</param>
    /// <param name="type">The kind of the data.</param>
    /// <param name="data">The guest's page table.</param>
    /// <param name="flags">What the page table must support.</param>
    /// <param name="faultQueue">The fault queue that gets the page faults of attached devices; default for none.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>The nested HWPT.</returns>
    /// <exception cref="IommufdException">
    /// As for <see cref="AllocateNestedHwptAsync(ObjectId, ObjectId, IommuHwptDataType, ReadOnlyMemory{byte}, IommuHwptAllocFlags, ObjectId, CancellationToken)"/>.
    /// </exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public ValueTask<ObjectId> AllocateNestedHwptAsync<T>(
        ObjectId device,
        ObjectId parent,
        IommuHwptDataType type,
        in T data,
        IommuHwptAllocFlags flags = IommuHwptAllocFlags.None,
        ObjectId faultQueue = default,
        CancellationToken cancellationToken = default)
        where T : unmanaged
        => AllocateNestedHwptAsync(device, parent, type, UapiStruct.ToBytes(in data), flags, faultQueue, cancellationToken);

    /// <summary><c>IOMMU_HWPT_INVALIDATE</c>: invalidates what the IOMMU has cached of a guest's page tables.</summary>
    /// <typeparam name="T">The entry's struct, such as <see cref="IommuViommuArmSmmuv3Invalidate"/>.</typeparam>
    /// <param name="target">The nested HWPT or the vIOMMU.</param>
    /// <param name="type">The kind of the entries.</param>
    /// <param name="entries">The entries, which are carried out in order up to the first that fails: at most <see cref="IoctlLimits.MaxBufferBytes"/> in all.</param>
    /// <param name="cancellationToken">Cancels the wait; the entries may still be carried out.</param>
    /// <returns>
    /// How many entries were carried out; a failure does not throw, since that number still counts. ENOENT if there is no such object, EINVAL if
    /// the object has nothing to invalidate or does not take entries of this kind.
    /// </returns>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask<InvalidationResult> InvalidateAsync<T>(
        ObjectId target, IommuHwptInvalidateDataType type, ReadOnlyMemory<T> entries, CancellationToken cancellationToken = default)
        where T : unmanaged
    {
        var cmd = new IommuHwptInvalidate
        {
            HwptId = target.Value,
            DataUptr = DataAddress,
            DataType = (uint)type,
            EntryLen = (uint)Unsafe.SizeOf<T>(),
            EntryNum = (uint)entries.Length,
        };
        var (result, _) = await RunAsync(IommuCommand.HwptInvalidate, cmd, MemoryMarshal.AsBytes(entries.Span).ToArray(), cancellationToken);

        // The argument still has the number of entries where nothing was copied back.
        var handled = result.Argument is null ? 0 : (int)Math.Min(result.Read<IommuHwptInvalidate>().EntryNum, cmd.EntryNum);
        return new InvalidationResult(handled, result.Errno, result.Diagnostic);
    }

    /// <summary><c>IOMMU_VIOMMU_ALLOC</c>: allocates a guest's IOMMU.</summary>
    /// <param name="device">A device behind the IOMMU of which the guest gets a part.</param>
    /// <param name="hwpt">The HWPT that translates for the guest, allocated with <see cref="IommuHwptAllocFlags.NestParent"/>.</param>
    /// <param name="type">The kind.</param>
    /// <param name="data">The data of the kind. The service's answer replaces it. Empty for a kind without data.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>The vIOMMU.</returns>
    /// <exception cref="IommufdException">
    /// ENOENT if there is no such device or HWPT; EINVAL if the HWPT is no nesting parent or the data has the wrong length; EOPNOTSUPP if the
    /// IOMMU has no vIOMMU of this kind.
    /// </exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask<ObjectId> AllocateViommuAsync(
        ObjectId device, ObjectId hwpt, IommuViommuType type, Memory<byte> data = default, CancellationToken cancellationToken = default)
    {
        var cmd = new IommuViommuAlloc
        {
            Type = (uint)type,
            DevId = device.Value,
            HwptId = hwpt.Value,
            DataLen = (uint)data.Length,
            DataUptr = data.IsEmpty ? 0 : DataAddress,
        };
        var (result, answer) = await RunAsync(IommuCommand.ViommuAlloc, cmd, data, cancellationToken);
        result.ThrowIfFailed();
        return new ObjectId(answer.OutViommuId);
    }

    /// <summary><c>IOMMU_VIOMMU_ALLOC</c>: allocates a guest's IOMMU of a kind whose data is a struct.</summary>
    /// <typeparam name="T">The struct, such as <see cref="IommuViommuSelftest"/>.</typeparam>
    /// <param name="device">A device behind the IOMMU of which the guest gets a part.</param>
    /// <param name="hwpt">The HWPT that translates for the guest, allocated with <see cref="IommuHwptAllocFlags.NestParent"/>.</param>
    /// <param name="type">The kind.</param>
    /// <param name="data">The data of the kind.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>The vIOMMU, and the data as the service has answered it.</returns>
    /// <exception cref="IommufdException">As for <see cref="AllocateViommuAsync(ObjectId, ObjectId, IommuViommuType, Memory{byte}, CancellationToken)"/>.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask<(ObjectId Id, T Data)> AllocateViommuAsync<T>(
        ObjectId device, ObjectId hwpt, IommuViommuType type, T data, CancellationToken cancellationToken = default)
        where T : unmanaged
    {
        var bytes = UapiStruct.ToBytes(in data);
        var id = await AllocateViommuAsync(device, hwpt, type, bytes.AsMemory(), cancellationToken);
        return (id, UapiStruct.Read<T>(bytes));
    }

    /// <summary><c>IOMMU_VDEVICE_ALLOC</c>: makes a device known to a guest's IOMMU.</summary>
    /// <param name="viommu">The vIOMMU.</param>
    /// <param name="device">The device, behind the IOMMU that the vIOMMU is a part of.</param>
    /// <param name="virtId">The device's id on the vIOMMU, such as its stream id for Arm's SMMUv3.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>The vDevice.</returns>
    /// <exception cref="IommufdException">
    /// ENOENT if there is no such vIOMMU or device; EEXIST if the device has a vDevice or the id is taken; EINVAL if the device is behind another
    /// IOMMU.
    /// </exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask<ObjectId> AllocateVdeviceAsync(ObjectId viommu, ObjectId device, ulong virtId, CancellationToken cancellationToken = default)
        => new((await RunAsync(
            IommuCommand.VdeviceAlloc, new IommuVdeviceAlloc { ViommuId = viommu.Value, DevId = device.Value, VirtId = virtId }, cancellationToken)).OutVdeviceId);

    /// <summary><c>IOMMU_HW_QUEUE_ALLOC</c>: lets hardware read a queue in guest memory, which can't be unmapped as long as the queue exists.</summary>
    /// <param name="viommu">The vIOMMU.</param>
    /// <param name="type">The kind.</param>
    /// <param name="index">The queue's index on the vIOMMU.</param>
    /// <param name="iova">Where the queue starts, in the vIOMMU's HWPT.</param>
    /// <param name="lengthBytes">Its length.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>The HW queue.</returns>
    /// <exception cref="IommufdException">
    /// ENOENT if there is no such vIOMMU, or if the memory is not mapped; EOPNOTSUPP if the vIOMMU has no queues of this kind; EINVAL, EEXIST or
    /// EIO if it can't have one with this index; EOVERFLOW past the last IOVA; EFAULT if the memory is not contiguous.
    /// </exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask<ObjectId> AllocateHwQueueAsync(
        ObjectId viommu, IommuHwQueueType type, uint index, Iova iova, ulong lengthBytes, CancellationToken cancellationToken = default)
        => new((await RunAsync(
            IommuCommand.HwQueueAlloc,
            new IommuHwQueueAlloc { ViommuId = viommu.Value, Type = (uint)type, Index = index, NestingParentIova = iova.Value, Length = lengthBytes },
            cancellationToken)).OutHwQueueId);

    /// <summary><c>IOMMU_FAULT_QUEUE_ALLOC</c>: allocates a queue of page faults, and opens its file.</summary>
    /// <param name="cancellationToken">Cancels the wait; a file that is opened all the same is closed when its lease expires.</param>
    /// <returns>The queue; disposing it closes its file.</returns>
    /// <exception cref="IommufdException">EMFILE if the context has too many files.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask<IommuFaultQueue> AllocateFaultQueueAsync(CancellationToken cancellationToken = default)
    {
        var (cmd, file) = await RunOpeningAsync(IommuCommand.FaultQueueAlloc, default(IommuFaultAlloc), cancellationToken);
        return new IommuFaultQueue(new ObjectId(cmd.OutFaultId), file);
    }

    /// <summary><c>IOMMU_VEVENTQ_ALLOC</c>: allocates a queue of a vIOMMU's events, and opens its file.</summary>
    /// <param name="viommu">The vIOMMU.</param>
    /// <param name="type">The kind of the events.</param>
    /// <param name="depth">How many events the queue holds, at least 1. More are lost until some are read.</param>
    /// <param name="cancellationToken">Cancels the wait; a file that is opened all the same is closed when its lease expires.</param>
    /// <returns>The queue; disposing it closes its file.</returns>
    /// <exception cref="IommufdException">
    /// ENOENT if there is no such vIOMMU; EEXIST if it has a queue of this kind; EOPNOTSUPP if it has no events of this kind; EINVAL for a depth
    /// of 0; EMFILE if the context has too many files.
    /// </exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask<IommuVeventq> AllocateVeventqAsync(ObjectId viommu, IommuVeventqType type, uint depth, CancellationToken cancellationToken = default)
    {
        var (cmd, file) = await RunOpeningAsync(
            IommuCommand.VeventqAlloc, new IommuVeventqAlloc { ViommuId = viommu.Value, Type = (uint)type, VeventqDepth = depth }, cancellationToken);
        return new IommuVeventq(new ObjectId(cmd.OutVeventqId), type, file);
    }

    // Runs a command that opens a file, which gets no descriptor.
    private async ValueTask<(T Answer, IommuFile File)> RunOpeningAsync<T>(IommuCommand command, T argument, CancellationToken cancellationToken)
        where T : unmanaged
    {
        var reply = await SendAsync(Request(command, in argument), cancellationToken);
        var answer = IoctlResult.From((uint)command, reply).ThrowIfFailed().Read<T>();
        return (answer, FileOf(reply.File ?? throw new InvalidDataException($"{command} has opened no file.")));
    }

    // Runs a command whose argument points to data, which the command may change.
    private async ValueTask<(IoctlResult Result, T Answer)> RunAsync<T>(IommuCommand command, T argument, Memory<byte> data, CancellationToken cancellationToken)
        where T : unmanaged
    {
        var bytes = UapiStruct.ToBytes(in argument);
        BinaryPrimitives.WriteInt32LittleEndian(bytes, bytes.Length);
        var memory = data.IsEmpty ? null : new CallerMemory().Add(DataAddress, data);
        var result = await IoctlAsync((uint)command, bytes, memory, cancellationToken);
        return (result, UapiStruct.Read<T>(bytes));
    }
}
