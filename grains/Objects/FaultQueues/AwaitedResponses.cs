using System.Runtime.InteropServices;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.FaultQueues;

// A group is named by its device and by the number that the device gave it. A device that gives two groups one number can't tell their responses apart: the
// later response is kept.

/// <summary>The groups of page faults whose devices await the response, and the responses that were not taken.</summary>
internal sealed class AwaitedResponses
{
    private readonly Dictionary<(ObjectId Device, uint Group), (uint Attachment, IommuPageResponseCode? Code)> _groups = [];

    /// <summary>Responses that were not taken.</summary>
    public int Kept { get; private set; }

    /// <summary>Notes a group that was reported, if its device awaits the response.</summary>
    public void Expect(FaultGroup group)
    {
        if (group.IsAwaited)
        {
            Set((group.Device, NumberOf(group)), group.Pasid, null);
        }
    }

    /// <summary>Keeps the response to a group, if its device awaits it.</summary>
    public void Answer(FaultGroup group, IommuPageResponseCode code)
    {
        if (group.IsAwaited && _groups.ContainsKey((group.Device, NumberOf(group))))
        {
            Set((group.Device, NumberOf(group)), group.Pasid, code);
        }
    }

    /// <summary>Takes a response: EAGAIN where there is none yet, ENOENT where no such group is awaited.</summary>
    public Errno Take(ObjectId device, uint group, out IommuPageResponseCode code)
    {
        code = default;
        if (!_groups.TryGetValue((device, group), out var awaited))
        {
            return Errno.ENOENT;
        }

        if (awaited.Code is not { } response)
        {
            return Errno.EAGAIN;
        }

        code = response;
        _groups.Remove((device, group));
        Kept--;
        return Errno.None;
    }

    /// <summary>Forgets the groups of an attachment that ends.</summary>
    public void Forget(ObjectId device, uint attachment)
    {
        foreach (var (key, awaited) in _groups.Where(pair => pair.Key.Device == device && pair.Value.Attachment == attachment).ToList())
        {
            Kept -= awaited.Code is null ? 0 : 1;
            _groups.Remove(key);
        }
    }

    /// <summary>Saves the responses that were not taken, in a fixed order; null for none.</summary>
    public FaultResponse[]? Save() => Kept == 0 ? null :
    [
        .. _groups.Where(pair => pair.Value.Code is not null)
            .OrderBy(pair => pair.Key.Device.Value).ThenBy(pair => pair.Key.Group)
            .Select(pair => new FaultResponse(pair.Key.Device, pair.Key.Group, pair.Value.Attachment, pair.Value.Code!.Value)),
    ];

    /// <summary>Restores the responses, when the groups that were not answered are known.</summary>
    public void Restore(FaultResponse[]? responses)
    {
        foreach (var response in responses ?? [])
        {
            SnapshotFormat.Require(response.Code <= IommuPageResponseCode.Invalid, "A response to a page fault has an unknown code.");
            Set((response.Device, response.Group), response.Attachment, response.Code);
        }
    }

    private void Set((ObjectId Device, uint Group) key, uint attachment, IommuPageResponseCode? code)
    {
        Kept -= _groups.TryGetValue(key, out var before) && before.Code is not null ? 1 : 0;
        Kept += code is null ? 0 : 1;
        _groups[key] = (attachment, code);
    }

    private static uint NumberOf(FaultGroup group) => MemoryMarshal.Read<IommuHwptPgfault>(group.Records).Grpid;
}
