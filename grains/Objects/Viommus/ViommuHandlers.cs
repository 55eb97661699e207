using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Grains.Objects.Hwpts;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Viommus;

/// <summary>IOMMU_VIOMMU_ALLOC, and invalidations by a vIOMMU.</summary>
internal static class ViommuHandlers
{
    /// <summary>IOMMU_VIOMMU_ALLOC.</summary>
    public static async ValueTask<IoctlReply> Alloc(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuViommuAlloc>();
        if (cmd.Flags != 0)
        {
            return Failure.Unsupported(DiagnosticReason.UnsupportedFlags, cmd.Flags);
        }

        if (cmd.Type == (uint)IommuViommuType.Default)
        {
            return Failure.Unsupported(DiagnosticReason.UnsupportedKind, cmd.Type);
        }

        var objects = scope.Context.Objects;
        if (objects.Find<DeviceEntry>(cmd.DevId) is not { } device)
        {
            return Failure.ObjectNotFound(objects, cmd.DevId);
        }

        var (iommu, type) = (IommuDriver.Of(device.Device), (IommuViommuType)cmd.Type);
        if (!iommu.HasViommu(device.Device, type))
        {
            return Failure.Unsupported(DiagnosticReason.UnsupportedKind, cmd.Type);
        }

        if (objects.Find<HwptPagingEntry>(cmd.HwptId) is not { } hwpt)
        {
            return Failure.ObjectNotFound(objects, cmd.HwptId);
        }

        if (DeviceHandlers.CheckNestParent(hwpt, device) is { Succeeded: false } refusal)
        {
            return refusal.ToReply();
        }

        if (!call.CanRespond<IommuViommuAlloc>())
        {
            return call.Respond(in cmd);
        }

        var buffer = cmd.DataLen == 0 ? null : call.Buffer(0);
        var errno = iommu.InitViommu(buffer, cmd.DataLen, out var setup);
        if (errno != Errno.None)
        {
            return new IoctlReply { Errno = errno, Diagnostic = Failure.Data(errno, cmd.Type, cmd.DataLen, (ulong)buffer!.Content.Length) };
        }

        if (setup.MmapBytes > 0 && buffer!.WritableBytes < cmd.DataLen)
        {
            return Failure.Reply(Errno.EFAULT, DiagnosticReason.BufferFault, buffer.WritableBytes, cmd.DataLen);
        }

        return await AllocAsync(scope, call, cmd, hwpt, iommu, setup);
    }

    /// <summary>IOMMU_HWPT_INVALIDATE of a vIOMMU: its grain decodes the entries, and the devices' grains carry them out.</summary>
    public static async ValueTask<(OperationResult Result, uint Done)> InvalidateAsync(IoctlScope scope, ViommuEntry viommu, InvalidationEntries entries)
    {
        var decoded = await scope.Grains.CallAsync<IViommuGrain, InvalidationEntries, ViommuInvalidationReply>(
            viommu, entries, static (grain, stamp, entries) => grain.InvalidateAsync(stamp, entries));
        if (decoded.Errno != Errno.None)
        {
            return (OperationResult.Of(decoded, viommu), 0);
        }

        for (var i = 0; i < decoded.Devices.Length; i++)
        {
            var device = scope.Context.Objects.Find<DeviceEntry>(decoded.Devices[i].Value)
                ?? throw new InvalidOperationException($"{viommu.Ref} has a vDevice whose device {decoded.Devices[i]} is gone.");
            var dropped = await scope.Grains.CallAsync<IDeviceGrain, uint, ObjectReply>(
                device, decoded.Entries[i], static (grain, stamp, cache) => grain.InvalidateCacheAsync(stamp, cache));
            if (dropped.Errno != Errno.None)
            {
                return (OperationResult.Of(dropped, device), 0);
            }
        }

        return (new OperationResult(decoded.Refusal, default, decoded.Diagnostic), decoded.Done);
    }

    private static async ValueTask<IoctlReply> AllocAsync(
        IoctlScope scope, IoctlCommand call, IommuViommuAlloc cmd, HwptPagingEntry hwpt, IommuDriver iommu, ViommuSetup setup)
    {
        var objects = scope.Context.Objects;
        var offsets = scope.Context.Shared<MmapOffsets>();
        IovaRange? mmap = setup.MmapBytes == 0 ? null : offsets.Take(setup.MmapBytes);
        var viommu = objects.Reserve((id, serial) => new ViommuEntry(id, serial, hwpt, (IommuViommuType)cmd.Type, hwpt.Iommu, mmap));
        var told = viommu is null ? objects.NoRoom() : await scope.Grains.HoldAsync(hwpt);
        if (!told.Succeeded)
        {
            if (mmap is { } taken)
            {
                offsets.Free(taken);
            }

            if (viommu is not null)
            {
                objects.Abort(viommu);
            }

            return told.ToReply();
        }

        Hold.RefToUsers(viommu!, hwpt, "nesting on it");
        objects.Finalize(viommu!);
        cmd.OutViommuId = viommu!.Id.Value;
        var rest = iommu.ViommuAnswer(setup, mmap?.Start ?? 0) is not { } answer
            ? null
            : new IoctlReply
            {
                // As much as there is room for, and zeros where there is more room.
                Buffers = [new UserBufferWrite(cmd.DataUptr, answer[..(int)Math.Min((uint)answer.Length, cmd.DataLen)]) { ZeroBytes = cmd.DataLen - Math.Min((uint)answer.Length, cmd.DataLen) }],
            };
        return call.Respond(in cmd, rest);
    }
}
