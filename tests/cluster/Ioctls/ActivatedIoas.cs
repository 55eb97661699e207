using IommuFd.Client;
using IommuFd.GrainInterfaces;

namespace IommuFd.ClusterTests.Ioctls;

/// <summary>An IOAS that its context does not keep.</summary>
internal static class ActivatedIoas
{
    /// <summary>Allocates an IOAS that has more ranges than one that its context keeps, with huge pages off, so that its grain is activated.</summary>
    public static async Task<ObjectId> AllocateActivatedIoasAsync(this IommuContext context)
    {
        var ioas = await context.AllocateIoasAsync();
        await context.AllowIovasAsync(ioas, [.. Enumerable.Range(0, 1_025).Select(range => new IovaRange((ulong)range * 0x10, ((ulong)range * 0x10) + 1))]);
        await context.SetHugePagesAsync(ioas, enable: false);
        return ioas;
    }
}
