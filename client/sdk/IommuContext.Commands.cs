using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <content>Typed commands. Each throws <see cref="IommufdException"/> with Linux's errno, or <see cref="IommufdTransportException"/>.</content>
public sealed partial class IommuContext
{
    /// <summary><c>IOMMU_IOAS_ALLOC</c>: allocates an IO address space.</summary>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>The id of the IOAS: the lowest free id.</returns>
    public async ValueTask<ObjectId> AllocateIoasAsync(CancellationToken cancellationToken = default)
        => new((await RunAsync(IommuCommand.IoasAlloc, default(IommuIoasAlloc), cancellationToken)).OutIoasId);

    /// <summary><c>IOMMU_DESTROY</c>: destroys an object.</summary>
    /// <param name="id">The object.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>Completes when the object is destroyed.</returns>
    /// <exception cref="IommufdException">ENOENT if there is no such object; EBUSY if the object is held: the exception names the holders.</exception>
    public async ValueTask DestroyAsync(ObjectId id, CancellationToken cancellationToken = default)
        => await RunAsync(IommuCommand.Destroy, new IommuDestroy { Id = id.Value }, cancellationToken);

    /// <summary><c>IOMMU_OPTION_HUGE_PAGES</c>, get: whether an IOAS may combine contiguous pages.</summary>
    /// <param name="ioas">The IOAS.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>True by default.</returns>
    /// <exception cref="IommufdException">ENOENT if there is no such IOAS.</exception>
    public async ValueTask<bool> GetHugePagesAsync(ObjectId ioas, CancellationToken cancellationToken = default)
        => (await RunAsync(IommuCommand.Option, Option(IommuOptionId.HugePages, IommuOptionOp.Get, ioas), cancellationToken)).Val64 != 0;

    /// <summary><c>IOMMU_OPTION_HUGE_PAGES</c>, set.</summary>
    /// <param name="ioas">The IOAS.</param>
    /// <param name="enable">Whether the IOAS may combine contiguous pages.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>Completes when the value is set.</returns>
    /// <exception cref="IommufdException">ENOENT if there is no such IOAS.</exception>
    public async ValueTask SetHugePagesAsync(ObjectId ioas, bool enable, CancellationToken cancellationToken = default)
        => await RunAsync(IommuCommand.Option, Option(IommuOptionId.HugePages, IommuOptionOp.Set, ioas, enable ? 1UL : 0), cancellationToken);

    /// <summary><c>IOMMU_OPTION_RLIMIT_MODE</c>, get.</summary>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>The mode.</returns>
    public async ValueTask<RlimitMode> GetRlimitModeAsync(CancellationToken cancellationToken = default)
        => (RlimitMode)(await RunAsync(IommuCommand.Option, Option(IommuOptionId.RlimitMode, IommuOptionOp.Get), cancellationToken)).Val64;

    /// <summary><c>IOMMU_OPTION_RLIMIT_MODE</c>, set.</summary>
    /// <param name="mode">The mode.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>Completes when the value is set.</returns>
    /// <exception cref="IommufdException">EBUSY if the context has any object; EINVAL for an undefined mode.</exception>
    public async ValueTask SetRlimitModeAsync(RlimitMode mode, CancellationToken cancellationToken = default)
        => await RunAsync(IommuCommand.Option, Option(IommuOptionId.RlimitMode, IommuOptionOp.Set, value: (ulong)mode), cancellationToken);

    /// <summary><c>IOMMU_VFIO_IOAS_GET</c>: the IOAS that VFIO compatibility uses.</summary>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>The IOAS; null if none is set, for which Linux answers ENODEV.</returns>
    public async ValueTask<ObjectId?> GetCompatIoasAsync(CancellationToken cancellationToken = default)
    {
        var result = await IoctlAsync(IommuCommand.VfioIoas, new IommuVfioIoas { Op = (ushort)IommuVfioIoasOp.Get }, cancellationToken);
        return result.Errno == Errno.ENODEV ? null : new ObjectId(result.ThrowIfFailed().Read<IommuVfioIoas>().IoasId);
    }

    /// <summary><c>IOMMU_VFIO_IOAS_SET</c>: sets the IOAS that VFIO compatibility uses. This does not hold the IOAS: destroying the IOAS clears the setting.</summary>
    /// <param name="ioas">The IOAS.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>Completes when the value is set.</returns>
    /// <exception cref="IommufdException">ENOENT if there is no such IOAS.</exception>
    public async ValueTask SetCompatIoasAsync(ObjectId ioas, CancellationToken cancellationToken = default)
        => await RunAsync(IommuCommand.VfioIoas, new IommuVfioIoas { Op = (ushort)IommuVfioIoasOp.Set, IoasId = ioas.Value }, cancellationToken);

    /// <summary><c>IOMMU_VFIO_IOAS_CLEAR</c>: VFIO compatibility uses no IOAS any more.</summary>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>Completes when the setting is cleared.</returns>
    public async ValueTask ClearCompatIoasAsync(CancellationToken cancellationToken = default)
        => await RunAsync(IommuCommand.VfioIoas, new IommuVfioIoas { Op = (ushort)IommuVfioIoasOp.Clear }, cancellationToken);

    private static IommuOption Option(IommuOptionId option, IommuOptionOp op, ObjectId id = default, ulong value = 0)
        => new() { OptionId = (uint)option, Op = (ushort)op, ObjectId = id.Value, Val64 = value };

    // An async method costs every ioctl a state machine, so this one is not async. Calls that are traced, that change what is pinned, or that wait for room take async methods of their own.
    private ValueTask<T> RunAsync<T>(IommuCommand command, in T argument, CancellationToken cancellationToken)
        where T : unmanaged
    {
        cancellationToken.ThrowIfCancellationRequested();
        var request = Request(command, in argument);
        if (TracedCalls.IsWanted || _pins.MayChange(request))
        {
            return RunAnyAsync<T>(request, cancellationToken);
        }

        var call = new IoctlOperation<T>(_session, _grain, request);
        return _session.TryBegin(call) ? call.StartAsync(cancellationToken) : RunWhenRoomAsync(call, cancellationToken);
    }

    private async ValueTask<T> RunAnyAsync<T>(IoctlRequest request, CancellationToken cancellationToken)
        where T : unmanaged
        => IoctlResult.From(request.Command, await SendAsync(request, cancellationToken)).ThrowIfFailed().Read<T>();

    private async ValueTask<T> RunWhenRoomAsync<T>(IoctlOperation<T> call, CancellationToken cancellationToken)
        where T : unmanaged
    {
        await _session.BeginAsync(call, cancellationToken);
        return await call.StartAsync(cancellationToken);
    }
}
