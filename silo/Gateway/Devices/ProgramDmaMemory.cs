using IommuFd.Devices;
using IommuFd.GrainInterfaces;
using IommuFd.Silo.Gateway.Programs;

namespace IommuFd.Silo.Gateway.Devices;

/// <summary>The memory of the gateway's programs, for devices.</summary>
internal sealed class ProgramDmaMemory(GatewayPrograms programs) : IDmaMemory
{
    public bool TryRead(UserMemoryPiece piece, ulong offset, Span<byte> destination)
        => programs.Find(piece) is var (memory, address) && memory.Read(address + offset, destination) == destination.Length;

    public bool TryWrite(UserMemoryPiece piece, ulong offset, ReadOnlySpan<byte> source)
        => programs.Find(piece) is var (memory, address) && memory.Write(address + offset, source) == source.Length;
}
