using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Objects;

/// <summary>What the context needs to know of a kind of object.</summary>
/// <param name="Grain">Finds the grain of an object by its key.</param>
/// <param name="FreshState">The state of an object that was allocated and not used since.</param>
internal sealed record ObjectTypeRow(Func<IGrainFactory, string, IObjectGrain> Grain, Func<ObjectState> FreshState);

/// <summary>The kinds of object: one row each (the kernel's <c>iommufd_object_ops</c>).</summary>
internal static class ObjectTypes
{
    private static readonly ObjectTypeRow IoasRow = new((factory, key) => factory.GetGrain<IIoasGrain>(key), () => Ioas.IoasInspector.Show(new Ioas.IoasModel(), default));

    public static ObjectTypeRow Get(ObjectType type) => type switch
    {
        ObjectType.Ioas => IoasRow,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "No such kind of object."),
    };
}
