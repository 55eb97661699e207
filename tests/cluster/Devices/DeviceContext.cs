using System.Text.Json;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.ClusterTests.Devices;

/// <summary>A context with an IOAS, and a driver that refers to it.</summary>
public abstract class DeviceContext(DeviceCluster cluster) : IAsyncLifetime
{
    /// <summary>An IOVA in the middle of what the selftest's IOMMU can map.</summary>
    protected const ulong Base = 0x1000_0000;

    protected const ulong Page = 4096;

    protected DeviceCluster Cluster { get; } = cluster;

    protected IommuContext Context { get; private set; } = null!;

    protected IommuDriver Driver { get; private set; } = null!;

    protected ObjectId Ioas { get; private set; }

    public async Task InitializeAsync()
    {
        Context = await Cluster.Programs.OpenAsync("vmm");
        Driver = await Cluster.Drivers.GetDriverAsync(Context.Handle, "vfio-pci");
        Ioas = await Context.AllocateIoasAsync();
    }

    public async Task DisposeAsync()
    {
        await Driver.DisposeAsync();
        await Context.DisposeAsync();
    }

    /// <summary>Memory that starts with a page, as every memory that an IOMMU can map does.</summary>
    protected static Memory<byte> Pages(int count) => DmaMemory.Allocate(count * (int)Page);

    protected static IovaRange Range(ulong start, ulong length) => new(start, start + (length - 1));

    protected Task<IommuDevice> BindAsync(string name = "0000:01:00.0", string? group = null, bool tracksDirtyPages = true, params IovaRange[] reserved)
        => Driver.BindDeviceAsync(new DeviceDescription { Name = name, Group = group, TracksDirtyPages = tracksDirtyPages, ReservedRegions = reserved });

    protected async Task<T> StateAsync<T>(ObjectId id)
        where T : ObjectState
        => Assert.IsType<T>((await Context.InspectObjectAsync(id, new StatePage(0, IoctlLimits.MaxInspectionPage)))?.State);

    protected async Task<ObjectRef[]> ObjectsAsync() => [.. (await Context.InspectAsync()).Objects.Select(item => item.Object)];

    /// <summary>All that can be seen of the context: equal texts mean that nothing has changed.</summary>
    protected async Task<string> SnapshotAsync()
    {
        var context = await Context.InspectAsync(withState: true);
        var graph = await Context.InspectGraphAsync();
        var objects = context.Objects.Select(item => new { item.Object, item.Users, item.Holders, State = (object?)item.State });
        return JsonSerializer.Serialize(new { context.ObjectCount, context.References, objects, graph.Nodes, graph.Edges });
    }

    /// <summary>What is refused, with its errno and the reason; the message of a test that fails names the case.</summary>
    protected static async Task<IommufdException> RefusedAsync(string what, Errno errno, DiagnosticReason reason, Func<Task> run)
    {
        var exception = await Record.ExceptionAsync(run);
        var refused = exception as IommufdException;
        Assert.True(
            (refused?.Errno, refused?.Diagnostic?.Reason) == (errno, reason),
            $"{what}: expected {errno} for {reason}, was {(exception is null ? "success" : $"{refused?.Errno} for {refused?.Diagnostic?.Reason}: {exception.Message}")}");
        return refused!;
    }
}
