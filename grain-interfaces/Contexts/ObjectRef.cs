namespace IommuFd.GrainInterfaces;

/// <summary>An object by its kind and id.</summary>
/// <param name="Type">The kind.</param>
/// <param name="Id">The id.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ObjectRef")]
public readonly record struct ObjectRef([property: Id(0)] ObjectType Type, [property: Id(1)] ObjectId Id)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Type.Label()} {Id}";
}
