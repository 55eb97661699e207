namespace IommuFd.GrainInterfaces;

/// <summary>What a dma-buf is at the moment.</summary>
public enum DmaBufState : byte
{
    /// <summary>It can be mapped.</summary>
    Mappable = 0,

    /// <summary>Its exporter has revoked it: mapping it is ENODEV.</summary>
    Revoked = 1,

    /// <summary>It has several ranges: mapping it is EOPNOTSUPP.</summary>
    Scattered = 2,
}

/// <summary>
/// What the caller's side says of a file that is a dma-buf: the exporter lives there. It has no pages that could be pinned, compared, or copied by an access: only
/// devices reach it.
/// </summary>
/// <param name="State">Whether it can be mapped now. What is mapped already ends by a <see cref="RevokeDmaBufRequest"/>.</param>
/// <param name="IsOfSelftest">Whether <see cref="Uapi.IommuTestOp.DmabufGet"/> has made it.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.UserDmaBuf")]
public sealed record UserDmaBuf([property: Id(0)] DmaBufState State, [property: Id(1)] bool IsOfSelftest = false);
