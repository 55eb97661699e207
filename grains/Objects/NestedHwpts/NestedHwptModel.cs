using IommuFd.Grains.Encoding;
using IommuFd.Grains.Iommus;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.NestedHwpts;

/// <summary>The hardware's part of a nested HWPT.</summary>
internal sealed class NestedHwptModel(NestedHwptBuild build)
{
    /// <summary>The domain.</summary>
    public NestedDomain Domain { get; } = IommuDriver.FindInstance(build.Iommu)!.CreateNested(build.Config);

    /// <summary>How many entries of invalidations it has carried out.</summary>
    public long Invalidations { get; private set; }

    /// <summary>Invalidates what entries say, in order, up to the first that it can't.</summary>
    public Errno Invalidate(in InvalidationEntries entries, out uint done)
    {
        var errno = Domain.Invalidate(entries, out done);
        Invalidations += done;
        return errno;
    }

    /// <summary>Saves the domain.</summary>
    public NestedHwptSnapshot Save() => Domain.Save() is var state && state is null && Invalidations == 0
        ? new NestedHwptSnapshot()
        : new NestedHwptSnapshot { Build = build, State = state, Invalidations = Invalidations };

    /// <summary>Restores it.</summary>
    /// <exception cref="System.IO.InvalidDataException">The snapshot makes no sense.</exception>
    public static NestedHwptModel Restore(NestedHwptSnapshot snapshot)
    {
        SnapshotFormat.Require(
            snapshot.Build is { Iommu: { } iommu, Config.Length: <= IommuDriver.MaxConfigBytes } && IommuDriver.FindInstance(iommu) is not null && snapshot.Invalidations >= 0,
            "The saved nested HWPT is not one that could have been made.");
        var model = new NestedHwptModel(snapshot.Build!) { Invalidations = snapshot.Invalidations };
        if (snapshot.State is { } state)
        {
            model.Domain.Load(state);
        }

        return model;
    }
}

/// <summary>The saved hardware of a nested HWPT.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.NestedHwptSnapshot")]
internal sealed record NestedHwptSnapshot : ObjectSnapshot
{
    /// <summary>What it was built of; null in the first state.</summary>
    [Id(0)]
    public NestedHwptBuild? Build { get; init; }

    /// <summary>The caches; null for those of a new one.</summary>
    [Id(1)]
    public HardwareSnapshot? State { get; init; }

    [Id(2)]
    public long Invalidations { get; init; }

    public override bool IsFirstState => Build is null;
}
