using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>What all files and drivers of one <see cref="IommufdClient"/> share.</summary>
internal sealed class ClientCore
{
    private readonly IContextChannel _channel;

    public ClientCore(IContextChannel channel, IommufdClientOptions options)
    {
        _channel = channel;
        Options = options;
        var routes = channel.Routes ?? new RouteChanges();
        Transport = new Transport(options, routes);
        Watch = new RequestWatch(options, routes);
        Leases = new LeaseKeeper(options);
        Memories = new CallerMemories(channel);
    }

    /// <summary>Where requests go, for the spans of traced calls.</summary>
    public string ServerAddress => _channel.ServerAddress;

    public IommufdClientOptions Options { get; }

    /// <summary>Sends requests until there is an answer.</summary>
    public Transport Transport { get; }

    /// <summary>Finds requests that get no answer.</summary>
    public RequestWatch Watch { get; }

    /// <summary>Renews leases.</summary>
    public LeaseKeeper Leases { get; }

    /// <summary>Answers what the service asks of programs' memory.</summary>
    public CallerMemories Memories { get; }

    /// <summary>The release of a reference: it stops the renewal of the reference's lease, and puts the reference.</summary>
    public ReleaseOnce<ReleaseReport?> PutOnce(string operation, LeasedReference reference) => new(cancellationToken =>
    {
        Leases.Remove(reference);
        return Transport.PutAsync(operation, reference.Grain, reference.Id, cancellationToken);
    });

    /// <summary>Takes a driver's reference to a context.</summary>
    public async Task<IommuDriver> GetDriverAsync(ContextHandle handle, string driver, CancellationToken cancellationToken)
    {
        var session = new Session(this);
        var request = new GetRequest(ReferenceKind.Driver, driver, session.Id);
        var grain = Grain(handle);
        return new IommuDriver(grain, session, await TakeAsync("get", () => grain.GetAsync(request), cancellationToken));
    }

    /// <summary>Takes a reference. Every repeat names the same session, so all of them get the same reference.</summary>
    public async Task<ReferenceReply> TakeAsync(string operation, Func<Task<ReferenceReply>> take, CancellationToken cancellationToken)
    {
        var reply = await Transport.CallAsync(operation, take, static reply => reply.Errno == Errno.None, cancellationToken);
        return reply.Errno == Errno.None ? reply : throw new IommufdException(operation, reply.Errno, reply.Diagnostic);
    }

    /// <summary>The last accesses of devices that could not be translated.</summary>
    public Task<FaultPage> ListFaultsAsync(ContextHandle? handle, FaultQuery query, CancellationToken cancellationToken)
        => Transport.CallAsync("list faults", () => _channel.ListFaultsAsync(handle, query), static _ => true, cancellationToken);

    /// <summary>The calls of a handle's context.</summary>
    public ContextCalls Grain(ContextHandle handle) => _channel.Find(handle);
}
