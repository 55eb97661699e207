using IommuFd.Uapi;

namespace IommuFd.UnitTests.Support;

/// <summary>What <see cref="TestDevices.Guest"/> has made: ids of one object of each kind.</summary>
internal sealed record Guest(
    uint Ioas, IommuTestMockDomain Mock, uint Parent, uint FaultQueue, uint Viommu, uint Vdevice, uint Veventq, uint HwQueue, uint Nested);
