using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>A reference that lives while its owner gives signs of life.</summary>
internal sealed class LeasedReference(ContextHandle context, IContextGrain grain, ReferenceId id, TimeSpan lease, Session? session)
{
    private volatile bool _isLost;

    public ContextHandle Context => context;

    public IContextGrain Grain => grain;

    public ReferenceId Id => id;

    /// <summary>How long it lives without a sign. Zero is for ever.</summary>
    public TimeSpan Lease => lease;

    /// <summary>Requests that its session had answered when it was last looked at.</summary>
    public long AnsweredBefore { get; set; }

    /// <summary>Requests that its session had answered by now.</summary>
    public long Answered => session?.Answered ?? 0;

    /// <summary>Whether its last renewal failed, so that the next look tries again.</summary>
    public bool IsLate { get; set; }

    /// <summary>Whether the service has it no more.</summary>
    public bool IsLost
    {
        get => _isLost;
        set => _isLost = value;
    }
}
