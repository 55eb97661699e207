namespace IommuFd.Grains.Proofs;

/// <summary>Shows that a call comes from a silo's process, and not from a client. Only silos see it: no answer and no log has it.</summary>
/// <param name="Silo">The silo that made it.</param>
/// <param name="Secret">128 bits of the silo's, which it has drawn at its start.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.SiloProof")]
internal sealed record SiloProof([property: Id(0)] SiloAddress Silo, [property: Id(1)] Guid Secret)
{
    /// <inheritdoc/>
    public override string ToString() => $"proof of {Silo}";
}
