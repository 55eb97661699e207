namespace IommuFd.GrainInterfaces;

/// <summary>
/// The id of an object within its context: 1 to 2^31 - 1. Programs may name any 32-bit number; one that is not an object's id gets ENOENT.
/// </summary>
/// <param name="Value">The number.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ObjectId")]
public readonly record struct ObjectId([property: Id(0)] uint Value)
{
    /// <inheritdoc/>
    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}
