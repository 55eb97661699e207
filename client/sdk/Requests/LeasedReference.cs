using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>A reference that the service keeps while its owner gives signs of life.</summary>
internal sealed class LeasedReference(ContextCalls grain, ReferenceId id, TimeSpan lease, Session? session)
{
    private volatile bool _isLost;

    public ContextCalls Grain => grain;

    public ReferenceId Id => id;

    /// <summary>How long the service keeps the reference without a sign of life. Zero is for ever.</summary>
    public TimeSpan Lease => lease;

    /// <summary>How many requests of its session had been answered at the last check.</summary>
    public long AnsweredBefore { get; set; }

    /// <summary>How many requests of its session have been answered.</summary>
    public long Answered => session?.Answered ?? 0;

    /// <summary>Whether the last renewal failed, so that the next check renews the reference again.</summary>
    public bool IsLate { get; set; }

    /// <summary>Whether the service no longer has the reference.</summary>
    public bool IsLost
    {
        get => _isLost;
        set => _isLost = value;
    }
}
