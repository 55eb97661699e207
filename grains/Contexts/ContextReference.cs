using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Contexts;

/// <summary>One reference to a context. A driver's reference owns the holds that the driver takes, so that they go with it.</summary>
internal sealed class ContextReference(ReferenceId id, ReferenceKind kind, string name) : HoldOwner
{
    public ReferenceId Id { get; } = id;

    public ReferenceKind Kind { get; } = kind;

    public string Name { get; } = name;

    public override Holder Describe(Hold hold) => new(ObjectType.Any, default, $"{Name}: {hold.Why}", hold.Id);
}
