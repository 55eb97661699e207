using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>An event of a vIOMMU, or the news that the latest events were lost.</summary>
/// <param name="Sequence">Its number: 0 to 2^31 - 1, then 0 again. Events that were lost have numbers too.</param>
/// <param name="Flags">Whether it stands for lost events, and so has no data.</param>
/// <param name="Data">The event in the layout of the ABI; <see cref="UapiStruct.Read{T}"/> decodes it.</param>
/// <param name="Lost">How many events were lost since the one before: up to this one, or with this one where it stands for lost events.</param>
public sealed record Vevent(uint Sequence, IommuVeventqFlags Flags, ReadOnlyMemory<byte> Data, uint Lost);
