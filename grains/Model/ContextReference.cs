using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;

namespace IommuFd.Grains.Model;

/// <summary>One reference to a context. A driver's reference owns the holds that the driver takes, so that they go with it.</summary>
internal sealed class ContextReference(ReferenceId id, ReferenceKind kind, string name, long session = 0) : HoldOwner
{
    private ReplayLanes? _replies;

    /// <summary>The session whose requests come through this reference; 0 for none.</summary>
    public long Session { get; } = session;

    /// <summary>Whether it is that of a file that an ioctl has opened.</summary>
    public bool IsOpenedFile => Session == FileTarget.SessionOf(Id);

    /// <summary>What the session may ask for again.</summary>
    public ReplayLanes Replies
    {
        get => _replies ??= new ReplayLanes();
        init => _replies = value;
    }

    /// <summary>When the owner last gave a sign of life, as a time stamp of the silo's clock; 0 before its first one. No part of what the context is: a rebuilt one begins anew.</summary>
    public long LastSign { get; set; }

    /// <summary>The next younger reference of the context.</summary>
    public ContextReference? Next { get; set; }

    /// <summary>The next older one.</summary>
    public ContextReference? Previous { get; set; }

    public ReferenceId Id { get; } = id;

    public ReferenceKind Kind { get; } = kind;

    public string Name { get; } = name;

    /// <summary>Writes the reference down, without what it holds.</summary>
    public ReferenceSnapshot Save() => new()
    {
        Id = Id.Value,
        Kind = Kind,
        Name = Name,
        Session = Session,
        Replies = _replies?.Save(),
        Lanes = _replies?.SaveLanes(),
    };

    public override Holder Describe(Hold hold) => new(ObjectType.Any, default, $"{Name}: {hold.Why}", hold.Id);
}
