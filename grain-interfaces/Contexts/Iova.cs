namespace IommuFd.GrainInterfaces;

/// <summary>An IO virtual address: what a device puts on the bus.</summary>
/// <param name="Value">The address.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.Iova")]
public readonly record struct Iova([property: Id(0)] ulong Value)
{
    /// <inheritdoc/>
    public override string ToString() => $"0x{Value:X}";
}
