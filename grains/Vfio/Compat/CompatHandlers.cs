using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Hwpts;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;

namespace IommuFd.Grains.Vfio.Compat;

/// <summary>The type1 interface on the compatibility IOAS (the kernel's vfio_compat.c).</summary>
internal static class CompatHandlers
{
    private const int ApiVersion = 0;

    private const VfioDmaMapFlags MapFlags = VfioDmaMapFlags.Read | VfioDmaMapFlags.Write;

    /// <summary>VFIO_GET_API_VERSION.</summary>
    public static ValueTask<IoctlReply> GetApiVersion(IoctlScope scope, IoctlCommand call) => Returns(ApiVersion);

    /// <summary>VFIO_CHECK_EXTENSION.</summary>
    public static ValueTask<IoctlReply> CheckExtension(IoctlScope scope, IoctlCommand call) => (VfioExtension)call.ReadAll<ulong>() switch
    {
        VfioExtension.Type1 or VfioExtension.Type1V2 or VfioExtension.UnmapAll => Returns(1),

        // No IOMMU here enforces coherence for all DMA, so that a domain takes the promise back.
        VfioExtension.DmaCacheCoherent => scope.Context.CompatIoas is { } ioas ? Returns(HasDomain(scope.Context, ioas) ? 0 : 1) : ValueTask.FromResult(NoIoas()),
        _ => Returns(0),
    };

    /// <summary>VFIO_SET_IOMMU. Type1 and type1v2 differ in whether an unmap may cut areas, which large pages forbid.</summary>
    public static async ValueTask<IoctlReply> SetIommu(IoctlScope scope, IoctlCommand call)
    {
        var type = (VfioExtension)call.ReadAll<ulong>();
        if (type is not (VfioExtension.Type1 or VfioExtension.Type1V2))
        {
            return Failure.Reply(Errno.EINVAL, DiagnosticReason.UnknownIommuType, (ulong)type);
        }

        if (scope.Context.CompatIoas is not { } ioas)
        {
            return NoIoas();
        }

        if (type == VfioExtension.Type1V2)
        {
            return IoctlReply.Success;
        }

        var reply = await scope.Grains.CallAsync<IIoasGrain, object?, ObjectReply>(ioas, null, static (grain, stamp, _) => grain.HugePagesAsync(stamp, IommuOptionOp.Set, 0));
        return reply.Errno == Errno.None ? IoctlReply.Success : Failure.Of(reply, ioas);
    }

    /// <summary>VFIO_IOMMU_MAP_DMA. A mapping that DMA may neither read nor write is none of iommufd's own, but one here.</summary>
    public static async ValueTask<IoctlReply> MapDma(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.ReadAll<VfioIommuType1DmaMap>();
        var flags = (VfioDmaMapFlags)cmd.Flags;
        if (Refuse(cmd.Argsz, Unsafe.SizeOf<VfioIommuType1DmaMap>(), (uint)(flags & ~MapFlags)) is { } refusal)
        {
            return refusal;
        }

        if (scope.Context.CompatIoas is not { } ioas)
        {
            return NoIoas();
        }

        if (scope.CheckRoom(1) is { Succeeded: false } full)
        {
            return full.ToReply();
        }

        var memory = call.Buffer(0);
        var how = IommuIoasMapFlags.FixedIova
            | (flags.HasFlag(VfioDmaMapFlags.Read) ? IommuIoasMapFlags.Readable : 0)
            | (flags.HasFlag(VfioDmaMapFlags.Write) ? IommuIoasMapFlags.Writeable : 0);
        var request = new IoasMapRequest(how, cmd.Vaddr, cmd.Size, cmd.Iova, memory.ReadableBytes, memory.WritableBytes, call.Memory, memory.Mapping, call.AccountIn(scope.Context));
        var reply = await IoasPinningHandlers.CallAsync(scope, (IoasEntry)ioas, request, static (grain, stamp, request, facts) => grain.MapAsync(stamp, request, facts));
        return reply.Errno == Errno.None ? IoctlReply.Success : Failure.Of(reply, ioas);
    }

    /// <summary>VFIO_IOMMU_UNMAP_DMA. It answers how much was unmapped also where it fails on the way.</summary>
    public static async ValueTask<IoctlReply> UnmapDma(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.ReadAll<VfioIommuType1DmaUnmap>();
        var flags = (VfioDmaUnmapFlags)cmd.Flags;
        if (Refuse(cmd.Argsz, Unsafe.SizeOf<VfioIommuType1DmaUnmap>(), (uint)(flags & ~VfioDmaUnmapFlags.All)) is { } refusal)
        {
            return refusal;
        }

        if (scope.Context.CompatIoas is not { } ioas)
        {
            return NoIoas();
        }

        var length = (uint)Unsafe.SizeOf<VfioIommuType1DmaUnmap>();
        if (call.WritableBytes < length)
        {
            return Failure.Reply(Errno.EFAULT, DiagnosticReason.ArgumentUnwritable, call.WritableBytes, length);
        }

        var reply = await scope.Grains.CallAsync<IIoasGrain, VfioIommuType1DmaUnmap, ObjectReply>(
            ioas, cmd, static (grain, stamp, cmd) => grain.UnmapCompatAsync(stamp, cmd.Iova, cmd.Size, ((VfioDmaUnmapFlags)cmd.Flags).HasFlag(VfioDmaUnmapFlags.All)));
        var failed = reply.Errno == Errno.None ? null : Failure.Of(reply, ioas);
        return new IoctlReply { Errno = reply.Errno, Argument = UapiStruct.ToBytes(cmd with { Size = reply.Value }), Diagnostic = failed?.Diagnostic };
    }

    /// <summary>VFIO_IOMMU_GET_INFO.</summary>
    public static async ValueTask<IoctlReply> GetInfo(IoctlScope scope, IoctlCommand call)
    {
        var info = call.ReadAll<VfioIommuType1Info>();
        if (Refuse(info.Argsz, call.MinSize, 0) is { } refusal)
        {
            return refusal;
        }

        if (scope.Context.CompatIoas is not { } ioas)
        {
            return NoIoas();
        }

        var ranges = await scope.Grains.CallAsync<IIoasGrain, object?, IovaRangesReply>(
            ioas, null, static (grain, stamp, _) => grain.IovaRangesAsync(stamp, IoasModel.MaxRanges, ulong.MaxValue));
        if (ranges.Errno != Errno.None)
        {
            return Failure.Of(ranges, ioas);
        }

        var answer = CompatInfo.Write(call.Argument, info.Argsz, PageSizesOf(ranges), MemoryMarshal.Cast<byte, IommuIovaRange>(ranges.Ranges));
        return call.WritableBytes >= answer.Length
            ? new IoctlReply { Argument = answer }
            : Failure.Reply(Errno.EFAULT, DiagnosticReason.ArgumentUnwritable, call.WritableBytes, (ulong)answer.Length);
    }

    // iommufd_get_pagesizes: where a domain has smaller pages than the machine's, the machine's is reported instead.
    private static ulong PageSizesOf(IovaRangesReply ranges)
    {
        const ulong Small = PageSizes.Page - 1;
        var sizes = (ranges.PageSizes & Small) == 0 ? ranges.PageSizes : (ranges.PageSizes & ~Small) | PageSizes.Page;
        return Math.Max(sizes, ranges.Alignment);
    }

    private static bool HasDomain(ContextModel context, ObjectEntry ioas) => context.Objects.After(0).Any(entry => entry is HwptPagingEntry hwpt && hwpt.Ioas == ioas);

    private static IoctlReply? Refuse(uint argsz, int least, uint unknownFlags)
        => argsz < least ? Failure.Reply(Errno.EINVAL, DiagnosticReason.ArgumentTooShort, argsz, (ulong)least)
            : unknownFlags != 0 ? Failure.Reply(Errno.EINVAL, DiagnosticReason.UnsupportedFlags, unknownFlags)
            : null;

    private static IoctlReply NoIoas() => Failure.Reply(Errno.ENODEV, DiagnosticReason.NoCompatIoas);

    private static ValueTask<IoctlReply> Returns(int value) => ValueTask.FromResult(value == 0 ? IoctlReply.Success : new IoctlReply { ReturnValue = value });
}
