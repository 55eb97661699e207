namespace IommuFd.GrainInterfaces;

/// <summary>Who keeps an object from being destroyed.</summary>
/// <param name="Type">The kind of the holding object; <see cref="ObjectType.Any"/> where a driver holds.</param>
/// <param name="Id">The holding object's id; 0 where a driver holds.</param>
/// <param name="Why">What the holder is or does, in words: a driver's name, or the role of the hold.</param>
/// <param name="HoldId">The driver's hold; 0 where an object holds.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.Holder")]
public sealed record Holder(
    [property: Id(0)] ObjectType Type,
    [property: Id(1)] ObjectId Id,
    [property: Id(2)] string Why,
    [property: Id(3)] HoldId HoldId)
{
    /// <inheritdoc/>
    public override string ToString() => Type == ObjectType.Any ? $"driver '{Why}'" : Why.Length == 0 ? $"{Type.Label()} {Id}" : $"{Type.Label()} {Id} ({Why})";
}
