using System.Buffers.Binary;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Configuration;
using IommuFd.Grains.Journaling;
using IommuFd.Grains.Monitoring;
using IommuFd.Silo;
using IommuFd.Silo.Journals;
using IommuFd.Uapi;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace IommuFd.ClusterTests.Durability;

/// <summary>A silo in this process whose journal is a SQLite file of its own. Several of them on one file are clusters that know nothing of each other.</summary>
internal sealed class JournalSilo : IAsyncDisposable
{
    private readonly IHost _host;

    private JournalSilo(IHost host) => _host = host;

    public IGrainFactory Grains => _host.Services.GetRequiredService<IGrainFactory>();

    public IJournalStore Store => _host.Services.GetRequiredService<IJournalStore>();

    public IServiceProvider Services => _host.Services;

    public static async Task<JournalSilo> StartAsync(string path, ContextOptions? options = null, Action<ISiloBuilder>? configure = null, string cluster = "cluster")
        => new(await SiloHost.StartInProcessAsync(
            silo =>
            {
                silo.ConfigureLogging(HandleWatch.Shared.AddTo);
                configure?.Invoke(silo);
            },
            options ?? new ContextOptions { DefaultMode = ContextMode.Durable, Lease = TimeSpan.Zero },
            new JournalSettings { Store = JournalStoreKind.Sqlite, Path = path, Synchronous = JournalSynchronous.Normal, Exclusive = false, Cluster = cluster }));

    /// <summary>An empty place for a journal, which can be damaged.</summary>
    public static SqliteJournalPlace NewPlace() => new();

    public ContextCalls Context(ContextHandle handle) => new GrainChannel(Grains).Find(handle);

    /// <summary>A context as operators reach it.</summary>
    public ContextControl Control(ContextHandle handle) => _host.Services.GetRequiredService<ContextControls>().Of(handle.Key);

    /// <summary>Takes a context's journal away from its owner, as another activation would.</summary>
    public Task StealAsync(ContextHandle handle) => Store.AcquireAsync(handle.Key, "thief", CancellationToken.None);

    public async ValueTask DisposeAsync()
    {
        await _host.StopAsync();
        _host.Dispose();
        HandleWatch.Shared.ExpectNone();
    }
}

/// <summary>Requests by hand.</summary>
internal static class Requests
{
    public static IoctlRequest Alloc() => Of(IommuCommand.IoasAlloc, default(IommuIoasAlloc));

    public static IoctlRequest Destroy(uint id) => Of(IommuCommand.Destroy, new IommuDestroy { Id = id });

    public static IoctlRequest Map(uint ioas, ulong iova)
        => Of(
            IommuCommand.IoasMap,
            new IommuIoasMap
            {
                IoasId = ioas,
                Flags = (uint)(IommuIoasMapFlags.FixedIova | IommuIoasMapFlags.Readable | IommuIoasMapFlags.Writeable),
                UserVa = 0x10000 + iova,
                Length = 0x1000,
                Iova = iova,
            },
            new UserBuffer { Length = 0x1000, ReadableBytes = 0x1000, WritableBytes = 0x1000 });

    public static IoctlRequest Of<T>(IommuCommand command, T argument, params UserBuffer[] buffers)
        where T : unmanaged
    {
        var bytes = UapiStruct.ToBytes(in argument);
        BinaryPrimitives.WriteInt32LittleEndian(bytes, bytes.Length);
        return new IoctlRequest { Command = (uint)command, Argument = bytes, WritableBytes = (uint)bytes.Length, Buffers = buffers.Length == 0 ? null : buffers };
    }

    /// <summary>Sends a request until an activation answers it, as the SDK does.</summary>
    public static async Task<T> UntilAnsweredAsync<T>(Func<Task<T>> send)
    {
        using var limit = new CancellationTokenSource(Eventually.Limit);
        while (true)
        {
            try
            {
                return await send();
            }
            catch (Exception exception) when (exception is ContextUnavailableException or OrleansException)
            {
                limit.Token.ThrowIfCancellationRequested();
                await Task.Yield();
            }
        }
    }
}
