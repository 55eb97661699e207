using System.Collections.Concurrent;
using IommuFd.Devices.Pci;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Devices.Vfio;

// Whose a group is, is a fact of the machine: its devices can reach each other, so only one context can have any of them.

/// <summary>The devices of a machine, and which context owns which group of them. Thread-safe.</summary>
public sealed class VfioMachine
{
    private readonly Lock _lock = new();
    private readonly SortedList<string, VfioDevice> _devices = new(StringComparer.Ordinal);
    private readonly Dictionary<string, (ContextHandle Owner, int Count)> _owners = [];
    private readonly ConcurrentDictionary<string, VfioExport> _exports = new();

    /// <summary>The devices, by their addresses.</summary>
    public IReadOnlyList<VfioDevice> Devices
    {
        get
        {
            lock (_lock)
            {
                return [.. _devices.Values];
            }
        }
    }

    /// <summary>Adds a device.</summary>
    /// <param name="address">Where it is.</param>
    /// <param name="function">The device.</param>
    /// <param name="description">
    /// The IOMMU in front of it and its group; its name is replaced by the address. Null for a plain IOMMU and a group of its own.
    /// </param>
    /// <returns>The device, as its file knows it.</returns>
    /// <exception cref="ArgumentException">There is a device at the address.</exception>
    public VfioDevice Add(PciAddress address, PciFunction function, DeviceDescription? description = null)
    {
        ArgumentNullException.ThrowIfNull(function);
        var name = address.ToString();
        description = (description ?? new DeviceDescription { Name = name, Iommu = DeviceDescription.PciIommu }) with { Name = name };
        lock (_lock)
        {
            if (_devices.ContainsKey(name))
            {
                throw new ArgumentException($"There is a device at {name}.", nameof(address));
            }

            var device = new VfioDevice(this, address, function, description with { Group = description.Group ?? name });
            _devices.Add(name, device);
            return device;
        }
    }

    /// <summary>The device at an address.</summary>
    /// <param name="address">The address.</param>
    /// <returns>The device; null for none.</returns>
    public VfioDevice? Find(PciAddress address)
    {
        lock (_lock)
        {
            return _devices.GetValueOrDefault(address.ToString());
        }
    }

    /// <summary>What a device reaches of a context whose programs have some memory.</summary>
    internal IDmaMemory Reach(IDmaMemory programs) => new VfioDmaMemory(_exports, programs);

    /// <summary>A device has exported a dma-buf.</summary>
    internal void Note(VfioExport export) => _exports[export.Buffer.Identity] = export;

    /// <summary>A dma-buf is no more.</summary>
    internal bool TryForget(VfioExport export) => _exports.TryRemove(export.Buffer.Identity, out _);

    /// <summary>The devices that a reset of a device's slot affects: the functions of its slot.</summary>
    internal IReadOnlyList<VfioDevice> Slot(VfioDevice device)
        => [.. Devices.Where(other => (other.Address with { Function = 0 }) == (device.Address with { Function = 0 }))];

    /// <summary>Claims a group for a context (<c>iommu_device_claim_dma_owner</c>): EPERM where another one owns it.</summary>
    internal Errno Claim(string group, ContextHandle owner)
    {
        lock (_lock)
        {
            var owned = _owners.GetValueOrDefault(group);
            if (owned.Count > 0 && owned.Owner != owner)
            {
                return Errno.EPERM;
            }

            _owners[group] = (owner, owned.Count + 1);
            return Errno.None;
        }
    }

    /// <summary>Gives a claim back.</summary>
    internal void Release(string group)
    {
        lock (_lock)
        {
            var (owner, count) = _owners[group];
            if (count == 1)
            {
                _owners.Remove(group);
            }
            else
            {
                _owners[group] = (owner, count - 1);
            }
        }
    }

    /// <summary>Whether a context owns a group.</summary>
    internal bool Owns(string group, ContextHandle owner)
    {
        lock (_lock)
        {
            return _owners.TryGetValue(group, out var owned) && owned.Owner == owner;
        }
    }
}
