namespace IommuFd.GrainInterfaces;

/// <summary>One fact about an object, for people.</summary>
/// <param name="Name">What it is about, for example <c>largest hole</c>.</param>
/// <param name="Value">The value with its unit, for example <c>16 MiB</c>.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ObjectFact")]
public readonly record struct ObjectFact([property: Id(0)] string Name, [property: Id(1)] string Value);
