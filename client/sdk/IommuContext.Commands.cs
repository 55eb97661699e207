using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <content>The commands, typed. Each throws <see cref="IommufdException"/> with the errno that Linux answers, or <see cref="IommufdTransportException"/>.</content>
public sealed partial class IommuContext
{
    /// <summary><c>IOMMU_IOAS_ALLOC</c>: allocates an IO address space.</summary>
    /// <param name="cancellationToken">Stops the waiting.</param>
    /// <returns>The id of the IOAS, the lowest that is free.</returns>
    public async ValueTask<ObjectId> AllocateIoasAsync(CancellationToken cancellationToken = default)
        => new((await RunAsync(IommuCommand.IoasAlloc, default(IommuIoasAlloc), cancellationToken)).OutIoasId);

    /// <summary><c>IOMMU_DESTROY</c>: destroys an object.</summary>
    /// <param name="id">The object.</param>
    /// <param name="cancellationToken">Stops the waiting.</param>
    /// <returns>When it is gone.</returns>
    /// <exception cref="IommufdException">ENOENT without such an object; EBUSY where somebody holds it, and the exception says who.</exception>
    public async ValueTask DestroyAsync(ObjectId id, CancellationToken cancellationToken = default)
    {
        await RunAsync(IommuCommand.Destroy, new IommuDestroy { Id = id.Value }, cancellationToken);
        _pins.RemoveAll(id);
    }

    /// <summary><c>IOMMU_OPTION_HUGE_PAGES</c>, get: whether an IOAS may combine contiguous pages.</summary>
    /// <param name="ioas">The IOAS.</param>
    /// <param name="cancellationToken">Stops the waiting.</param>
    /// <returns>True by default.</returns>
    /// <exception cref="IommufdException">ENOENT without such an IOAS.</exception>
    public async ValueTask<bool> GetHugePagesAsync(ObjectId ioas, CancellationToken cancellationToken = default)
        => (await RunAsync(IommuCommand.Option, Option(IommuOptionId.HugePages, IommuOptionOp.Get, ioas), cancellationToken)).Val64 != 0;

    /// <summary><c>IOMMU_OPTION_HUGE_PAGES</c>, set.</summary>
    /// <param name="ioas">The IOAS.</param>
    /// <param name="enable">Whether it may combine contiguous pages.</param>
    /// <param name="cancellationToken">Stops the waiting.</param>
    /// <returns>When it is set.</returns>
    /// <exception cref="IommufdException">ENOENT without such an IOAS.</exception>
    public async ValueTask SetHugePagesAsync(ObjectId ioas, bool enable, CancellationToken cancellationToken = default)
        => await RunAsync(IommuCommand.Option, Option(IommuOptionId.HugePages, IommuOptionOp.Set, ioas, enable ? 1UL : 0), cancellationToken);

    /// <summary><c>IOMMU_OPTION_RLIMIT_MODE</c>, get.</summary>
    /// <param name="cancellationToken">Stops the waiting.</param>
    /// <returns>The mode.</returns>
    public async ValueTask<RlimitMode> GetRlimitModeAsync(CancellationToken cancellationToken = default)
        => (RlimitMode)(await RunAsync(IommuCommand.Option, Option(IommuOptionId.RlimitMode, IommuOptionOp.Get), cancellationToken)).Val64;

    /// <summary><c>IOMMU_OPTION_RLIMIT_MODE</c>, set.</summary>
    /// <param name="mode">The mode.</param>
    /// <param name="cancellationToken">Stops the waiting.</param>
    /// <returns>When it is set.</returns>
    /// <exception cref="IommufdException">EBUSY where the context has an object; EINVAL for a value that is no mode.</exception>
    public async ValueTask SetRlimitModeAsync(RlimitMode mode, CancellationToken cancellationToken = default)
        => await RunAsync(IommuCommand.Option, Option(IommuOptionId.RlimitMode, IommuOptionOp.Set, value: (ulong)mode), cancellationToken);

    /// <summary><c>IOMMU_VFIO_IOAS_GET</c>: the IOAS that VFIO compatibility uses.</summary>
    /// <param name="cancellationToken">Stops the waiting.</param>
    /// <returns>The IOAS; null where none is set, which Linux answers with ENODEV.</returns>
    public async ValueTask<ObjectId?> GetCompatIoasAsync(CancellationToken cancellationToken = default)
    {
        var result = await IoctlAsync(IommuCommand.VfioIoas, new IommuVfioIoas { Op = (ushort)IommuVfioIoasOp.Get }, cancellationToken);
        return result.Errno == Errno.ENODEV ? null : new ObjectId(result.ThrowIfFailed().Read<IommuVfioIoas>().IoasId);
    }

    /// <summary><c>IOMMU_VFIO_IOAS_SET</c>: makes an IOAS the one that VFIO compatibility uses. It is not held: destroying it clears this.</summary>
    /// <param name="ioas">The IOAS.</param>
    /// <param name="cancellationToken">Stops the waiting.</param>
    /// <returns>When it is set.</returns>
    /// <exception cref="IommufdException">ENOENT without such an IOAS.</exception>
    public async ValueTask SetCompatIoasAsync(ObjectId ioas, CancellationToken cancellationToken = default)
        => await RunAsync(IommuCommand.VfioIoas, new IommuVfioIoas { Op = (ushort)IommuVfioIoasOp.Set, IoasId = ioas.Value }, cancellationToken);

    /// <summary><c>IOMMU_VFIO_IOAS_CLEAR</c>: VFIO compatibility uses no IOAS from then on.</summary>
    /// <param name="cancellationToken">Stops the waiting.</param>
    /// <returns>When it is cleared.</returns>
    public async ValueTask ClearCompatIoasAsync(CancellationToken cancellationToken = default)
        => await RunAsync(IommuCommand.VfioIoas, new IommuVfioIoas { Op = (ushort)IommuVfioIoasOp.Clear }, cancellationToken);

    private static IommuOption Option(IommuOptionId option, IommuOptionOp op, ObjectId id = default, ulong value = 0)
        => new() { OptionId = (uint)option, Op = (ushort)op, ObjectId = id.Value, Val64 = value };

    // Each async method between a program and its grain costs every ioctl a state machine: there is none here, but where there is no room.
    private ValueTask<T> RunAsync<T>(IommuCommand command, in T argument, CancellationToken cancellationToken)
        where T : unmanaged
    {
        cancellationToken.ThrowIfCancellationRequested();
        var request = Request(command, in argument);
        if (TracedCalls.IsWanted)
        {
            return RunTracedAsync<T>(request, cancellationToken);
        }

        var call = new IoctlOperation<T>(_session, _grain, request);
        return _session.TryBegin(call) ? call.StartAsync(cancellationToken) : RunWhenRoomAsync(call, cancellationToken);
    }

    private async ValueTask<T> RunTracedAsync<T>(IoctlRequest request, CancellationToken cancellationToken)
        where T : unmanaged
        => IoctlResult.From(request.Command, await SendTracedAsync(request, cancellationToken)).ThrowIfFailed().Read<T>();

    private async ValueTask<T> RunWhenRoomAsync<T>(IoctlOperation<T> call, CancellationToken cancellationToken)
        where T : unmanaged
    {
        await _session.BeginAsync(call, cancellationToken);
        return await call.StartAsync(cancellationToken);
    }
}
