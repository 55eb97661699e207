namespace IommuFd.GrainInterfaces;

/// <summary>One holder of an object. While an object has holders, it can't be destroyed.</summary>
/// <param name="Type">The kind of the holding object; <see cref="ObjectType.Any"/> where a driver holds.</param>
/// <param name="Id">The holding object's id; 0 where a driver holds.</param>
/// <param name="Why">The driver's name, or what an object's hold is for.</param>
/// <param name="HoldId">The driver's hold, where it took one by name; else 0.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.Holder")]
public sealed record Holder(
    [property: Id(0)] ObjectType Type,
    [property: Id(1)] ObjectId Id,
    [property: Id(2)] string Why,
    [property: Id(3)] HoldId HoldId)
{
    /// <summary>The holder in words.</summary>
    /// <returns>For example <c>HWPT 3 (mirroring it)</c> or <c>driver 'vfio-pci'</c>.</returns>
    public override string ToString() => Type == ObjectType.Any ? $"driver '{Why}'" : Why.Length == 0 ? $"{Type.Label()} {Id}" : $"{Type.Label()} {Id} ({Why})";
}
